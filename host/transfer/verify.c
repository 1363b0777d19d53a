/* Digests of files. */
#include "base/str.h"
#include "transfer/transfer.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define CHUNK ((size_t)1 << 20)

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

static const EVP_MD *algorithm(uint32_t type) {
  switch (type) {
  case OME_DIGEST_SHA256:
    return EVP_sha256();
  case OME_DIGEST_GIT_SHA1:
    return EVP_sha1();
  case OME_DIGEST_MD5:
    return EVP_md5();
  default:
    return NULL;
  }
}

/* Git hashes "blob <size>\0" before the content. */
static bool start(EVP_MD_CTX *ctx, const struct manifest_file *file) {
  char head[32];

  if (EVP_DigestInit_ex(ctx, algorithm(file->digest_type), NULL) != 1)
    return false;
  if (file->digest_type != OME_DIGEST_GIT_SHA1)
    return true;
  int n = snprintf(head, sizeof(head), "blob %llu", (unsigned long long)file->size);
  return EVP_DigestUpdate(ctx, head, (size_t)n + 1) == 1;
}

int32_t transfer_verify(const char *path, const struct manifest_file *file, bool (*cancelled)(void *), void *arg,
                        struct ome_err *err) {
  _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  _cleanup_free_ uint8_t *chunk = malloc(CHUNK);
  uint8_t sum[EVP_MAX_MD_SIZE];
  char hex[2 * EVP_MAX_MD_SIZE + 1];
  unsigned len = 0;
  uint64_t total = 0;

  if (fd < 0)
    return fail_errno(err, "verify", path);
  if (!ctx || !chunk)
    return fail_memory(err);
  bool hashed = algorithm(file->digest_type) != NULL;
  if (hashed && !start(ctx, file))
    return fail(err, OME_E_INTERNAL, "verify: %s: the digest cannot be computed", path);
  for (ssize_t n; (n = TEMP_FAILURE_RETRY(read(fd, chunk, CHUNK))) != 0;) {
    if (n < 0)
      return fail_errno(err, "verify", path);
    if (cancelled && cancelled(arg))
      return fail(err, OME_E_CANCELLED, "verify: %s: cancelled", path);
    total += (uint64_t)n;
    if (hashed && EVP_DigestUpdate(ctx, chunk, (size_t)n) != 1)
      return fail(err, OME_E_INTERNAL, "verify: %s: the digest cannot be computed", path);
  }
  if (total != file->size)
    return fail(err, OME_E_CORRUPT, "verify: %s: %llu bytes, %llu expected", path, (unsigned long long)total,
                (unsigned long long)file->size);
  if (!hashed)
    return OME_OK;
  if (EVP_DigestFinal_ex(ctx, sum, &len) != 1)
    return fail(err, OME_E_INTERNAL, "verify: %s: the digest cannot be computed", path);
  hex_encode(sum, len, hex);
  if (!streq(hex, file->digest))
    return fail(err, OME_E_CORRUPT, "verify: %s: its digest is %s, the hub says %s", path, hex, file->digest);
  return OME_OK;
}
