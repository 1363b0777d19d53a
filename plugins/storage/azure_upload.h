/* One file into a container: in one request, or in blocks where it is large. */
#ifndef PLUGINS_STORAGE_AZURE_UPLOAD_H
#define PLUGINS_STORAGE_AZURE_UPLOAD_H

#include "azure_session.h"

#include <ome/storage.h>

/* FILE below S's name, whole or not at all.  The blocks of an upload that fails are seen by nobody, and removed by the
 * service after a week.  REOPEN makes a session anew, whose credentials last. */
int32_t azure_upload(struct azure_session **s, const struct ome_upload_file *file, struct ome_uploader *to,
                     int32_t (*reopen)(struct azure_session **s, struct ome_err *err), struct ome_err *err);

/* Size of the blocks that a file of SIZE bytes is sent in: at most 50,000 of them. */
uint64_t azure_block_bytes(uint64_t size);

/* The name of block I, in base64: all of a blob are equally long. */
void azure_block_id(uint32_t i, char out[16]);

#endif
