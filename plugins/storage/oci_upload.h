/* Files into a bucket. */
#ifndef PLUGINS_STORAGE_OCI_UPLOAD_H
#define PLUGINS_STORAGE_OCI_UPLOAD_H

#include "oci_session.h"

/* FILE as the object NAME: one PutObject, or an upload in parts, which is aborted where it fails. */
int32_t oci_put(struct oci_session *s, const char *name, const struct ome_upload_file *file, struct ome_uploader *to,
                struct ome_err *err);

#endif
