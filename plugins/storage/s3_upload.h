/* One file into a bucket: in one request, or in parts where it is large. */
#ifndef PLUGINS_STORAGE_S3_UPLOAD_H
#define PLUGINS_STORAGE_S3_UPLOAD_H

#include "s3_session.h"

/* FILE below the session's key, whole or not at all; the parts of a failed upload are removed again. */
int32_t s3_upload(struct s3_session *s, const struct ome_upload_file *file, struct ome_uploader *to,
                  struct ome_err *err);

/* Size of the parts that a file of SIZE bytes is sent in: at most 10,000 of them. */
uint64_t s3_part_bytes(uint64_t size);

#endif
