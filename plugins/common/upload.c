#include "upload.h"

#include <ome-sdk/error.h>

#include <openssl/evp.h>
#include <stdlib.h>

#define PIECE ((uint64_t)1 << 20)

struct http_answer upload_answer(const struct ome_upload_answer *a) {
  return (struct http_answer){.status = a->status,
                              .nheaders = (uint32_t)a->nheaders,
                              .headers = (struct ome_kv *)(uintptr_t)a->headers,
                              .body = (char *)(uintptr_t)a->body.ptr,
                              .len = (size_t)a->body.len};
}

int32_t upload_md5(struct ome_uploader *from, const struct ome_call *call, uint64_t offset, uint64_t len,
                   char out[BASE64_TEXT(16)], struct ome_err *err) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  char *piece = malloc(PIECE);
  int32_t rc = ctx && piece && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1
                   ? OME_OK
                   : ome_fail(err, OME_E_NO_MEMORY, "out of memory");

  while (rc == OME_OK && len) {
    uint64_t n = len < PIECE ? len : PIECE;
    rc = ome_check_cancelled(call, err);
    if (rc == OME_OK)
      rc = from->read(from, offset, n, piece, err);
    if (rc == OME_OK)
      (void)EVP_DigestUpdate(ctx, piece, (size_t)n);
    offset += n;
    len -= n;
  }
  if (rc == OME_OK) {
    (void)EVP_DigestFinal_ex(ctx, digest, NULL);
    (void)base64_write(digest, 16, out, BASE64_TEXT(16));
  }
  EVP_MD_CTX_free(ctx);
  free(piece);
  return rc;
}
