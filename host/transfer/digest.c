#include "transfer/digest.h"

#include "base/cleanup.h"
#include "base/str.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 20)

struct digests {
  EVP_MD_CTX *sha256;
  EVP_MD_CTX *other; /* NULL: none, SHA-256, or CRC-32C */
  uint32_t type;
  uint32_t crc;
  struct sums sums;
};

static const EVP_MD *algorithm(uint32_t type) {
  return type == OME_DIGEST_GIT_SHA1 ? EVP_sha1() : type == OME_DIGEST_MD5 ? EVP_md5() : NULL;
}

static void digests_free(struct digests *d) {
  EVP_MD_CTX_free(d->sha256);
  EVP_MD_CTX_free(d->other);
  sums_fini(&d->sums);
  free(d);
}

struct digests *digests_new(uint32_t type, uint64_t size) {
  struct digests *d = calloc(1, sizeof(*d));
  char head[40];

  if (!d)
    return NULL;
  d->type = type;
  d->sha256 = EVP_MD_CTX_new();
  d->other = algorithm(type) ? EVP_MD_CTX_new() : NULL;
  bool ok = d->sha256 && EVP_DigestInit_ex(d->sha256, EVP_sha256(), NULL) == 1;
  if (ok && algorithm(type))
    ok = d->other && EVP_DigestInit_ex(d->other, algorithm(type), NULL) == 1;
  if (!ok) {
    digests_free(d);
    return NULL;
  }
  /* git's blob object: "blob SIZE\0" and the content. */
  int n = snprintf(head, sizeof(head), "blob %" PRIu64, size);
  if (type == OME_DIGEST_GIT_SHA1)
    (void)EVP_DigestUpdate(d->other, head, (size_t)n + 1);
  return d;
}

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), reflected, a nibble at a time. */
static uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t len) {
  static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
                                     0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                     0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

  crc = ~crc;
  for (size_t i = 0; i < len; i++) {
    crc ^= data[i];
    crc = (crc >> 4) ^ table[crc & 15];
    crc = (crc >> 4) ^ table[crc & 15];
  }
  return ~crc;
}

void digests_add(struct digests *d, const void *data, size_t len) {
  (void)EVP_DigestUpdate(d->sha256, data, len);
  if (d->other)
    (void)EVP_DigestUpdate(d->other, data, len);
  if (d->type == OME_DIGEST_CRC32C)
    d->crc = crc32c(d->crc, data, len);
  sums_add(&d->sums, data, len);
}

static void end_hex(EVP_MD_CTX *ctx, char out[65]) {
  uint8_t raw[EVP_MAX_MD_SIZE];
  unsigned len = 0;

  (void)EVP_DigestFinal_ex(ctx, raw, &len);
  hex_encode(raw, len > 32 ? 32 : len, out);
}

void digests_end(struct digests *d, char sha256[65], char wanted[65], struct sums *sums) {
  end_hex(d->sha256, sha256);
  if (d->other)
    end_hex(d->other, wanted);
  else if (d->type == OME_DIGEST_CRC32C)
    (void)snprintf(wanted, 65, "%08" PRIx32, d->crc);
  else
    memcpy(wanted, sha256, 65);
  if (sums) {
    sums_end(&d->sums);
    sums_fini(sums);
    *sums = d->sums;
    d->sums = (struct sums){.failed = false};
  }
  digests_free(d);
}

int32_t digest_file(int fd, const char *name, uint64_t size, uint32_t type, bool (*stop)(void *), void *arg,
                    char sha256[65], char wanted[65], struct sums *sums, struct ome_err *err) {
  _cleanup_free_ uint8_t *piece = malloc(PIECE);
  struct digests *d = digests_new(type, size);
  int32_t rc = piece && d ? OME_OK : fail_memory(err);
  uint64_t at = 0;

  while (rc == OME_OK && at < size) {
    size_t want = size - at < PIECE ? (size_t)(size - at) : PIECE;
    ssize_t n = pread(fd, piece, want, (off_t)at);
    if (n < 0)
      rc = fail_errno(err, "read", name);
    else if (n == 0)
      rc = fail(err, OME_E_CORRUPT, "verify: %s: ends after %" PRIu64 " of %" PRIu64 " bytes", name, at, size);
    else if (stop && stop(arg))
      rc = fail(err, OME_E_CANCELLED, "verify: %s: stopped", name);
    else
      digests_add(d, piece, (size_t)n);
    at += n > 0 ? (uint64_t)n : 0;
  }
  if (rc == OME_OK)
    digests_end(d, sha256, wanted, sums);
  else if (d)
    digests_free(d);
  return rc;
}
