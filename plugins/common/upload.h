/* What the uploads of storage plugins have in common. */
#ifndef PLUGINS_COMMON_UPLOAD_H
#define PLUGINS_COMMON_UPLOAD_H

#include "encode.h"
#include "http.h"

#include <ome/storage.h>

/* The view of A that http_refused() and the others read; borrows from it, not to be ended. */
struct http_answer upload_answer(const struct ome_upload_answer *a);

/* The MD5 of LEN bytes at OFFSET of the file in base64 (Content-MD5, RFC 1864), so that the service refuses a part that
 * was damaged on the way. */
int32_t upload_md5(struct ome_uploader *from, const struct ome_call *call, uint64_t offset, uint64_t len,
                   char out[BASE64_TEXT(16)], struct ome_err *err);

#endif
