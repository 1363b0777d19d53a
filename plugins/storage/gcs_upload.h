/* One file into a bucket, as a resumable upload. */
#ifndef PLUGINS_STORAGE_GCS_UPLOAD_H
#define PLUGINS_STORAGE_GCS_UPLOAD_H

#include "gcs_session.h"

#include <ome/storage.h>

/* FILE below the session's name, whole or not at all: an upload that fails is taken back. */
int32_t gcs_upload(const struct gcs_session *s, const struct ome_upload_file *file, struct ome_uploader *to,
                   struct ome_err *err);

#endif
