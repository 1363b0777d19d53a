#include "transfer/digest.h"

#include "base/str.h"
#include "transfer/crc32c.h"

#include <endian.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define MORSEL ((size_t)16 << 10)
#define PIECE ((size_t)256 << 10) /* stays in the processor's cache between reading and hashing */

/* ---- algorithms -------------------------------------------------------------------------------------------------- */

static uint32_t add_crc32(uint32_t crc, const void *data, size_t len) {
  return (uint32_t)crc32_z(crc, data, len);
}

static const struct algorithm {
  size_t bytes;
  const EVP_MD *(*md)(void);
  uint32_t (*crc)(uint32_t crc, const void *data, size_t len);
} algorithms[] = {
    [OME_DIGEST_SHA256] = {32, EVP_sha256, NULL}, [OME_DIGEST_GIT_SHA1] = {20, EVP_sha1, NULL},
    [OME_DIGEST_MD5] = {16, EVP_md5, NULL},       [OME_DIGEST_CRC32C] = {4, NULL, crc32c},
    [OME_DIGEST_SHA1] = {20, EVP_sha1, NULL},     [OME_DIGEST_CRC32] = {4, NULL, add_crc32},
};

static const struct algorithm *algorithm_of(uint32_t type) {
  uint32_t plain = type & ~(uint32_t)OME_DIGEST_OF_PARTS;

  return plain < ARRAY_LEN(algorithms) && algorithms[plain].bytes ? &algorithms[plain] : NULL;
}

bool digest_is_possible(uint32_t type, uint64_t part_bytes, size_t hex_len) {
  const struct algorithm *a = algorithm_of(type);
  bool parts = type & OME_DIGEST_OF_PARTS;

  /* git's digest begins with the size of the whole: it has no parts. */
  if (parts && (part_bytes == 0 || type == (OME_DIGEST_OF_PARTS | OME_DIGEST_GIT_SHA1)))
    return false;
  return a && hex_len == 2 * a->bytes;
}

/* One running digest. */
struct hasher {
  const struct algorithm *a;
  EVP_MD_CTX *md;
  uint32_t crc;
};

static bool hasher_start(struct hasher *h, const struct algorithm *a) {
  h->a = a;
  h->crc = 0;
  if (!a->md)
    return true;
  if (!h->md)
    h->md = EVP_MD_CTX_new();
  return h->md && EVP_DigestInit_ex(h->md, a->md(), NULL) == 1;
}

static void hasher_add(struct hasher *h, const void *data, size_t len) {
  if (h->md)
    (void)EVP_DigestUpdate(h->md, data, len);
  else
    h->crc = h->a->crc(h->crc, data, len);
}

static void hasher_end(struct hasher *h, uint8_t out[EVP_MAX_MD_SIZE]) {
  uint32_t big = htobe32(h->crc);

  if (h->md)
    (void)EVP_DigestFinal_ex(h->md, out, NULL);
  else
    memcpy(out, &big, sizeof(big));
}

/* ---- both digests of one content --------------------------------------------------------------------------------- */

struct digests {
  struct hasher sha256;
  struct hasher other; /* of no algorithm: SHA-256 is what is wanted */
  struct hasher part;  /* with OME_DIGEST_OF_PARTS: of the part that is being read */
  uint64_t part_bytes, in_part;
  bool has_pieces; /* a file that is less than one needs no sums */
  struct sums sums;
};

void digests_free(struct digests *d) {
  EVP_MD_CTX_free(d->sha256.md);
  EVP_MD_CTX_free(d->other.md);
  EVP_MD_CTX_free(d->part.md);
  sums_fini(&d->sums);
  free(d);
}

struct digests *digests_new(const struct manifest_file *f) {
  _cleanup_(digests_freep) struct digests *d = calloc(1, sizeof(*d));
  const struct algorithm *a = f->digest_type == OME_DIGEST_SHA256 ? NULL : algorithm_of(f->digest_type);
  char head[40];

  if (!d || !hasher_start(&d->sha256, &algorithms[OME_DIGEST_SHA256]) || (a && !hasher_start(&d->other, a)))
    return NULL;
  d->has_pieces = f->size >= SUMS_PIECE;
  if (f->digest_type & OME_DIGEST_OF_PARTS) {
    d->part_bytes = f->digest_part_bytes;
    if (!hasher_start(&d->part, a))
      return NULL;
  }
  /* git's blob object: "blob SIZE\0" and the content. */
  int n = snprintf(head, sizeof(head), "blob %" PRIu64, f->size);
  if (f->digest_type == OME_DIGEST_GIT_SHA1)
    hasher_add(&d->other, head, (size_t)n + 1);
  return TAKE_PTR(d);
}

static void end_part(struct digests *d) {
  uint8_t raw[EVP_MAX_MD_SIZE];

  hasher_end(&d->part, raw);
  hasher_add(&d->other, raw, d->part.a->bytes);
  (void)hasher_start(&d->part, d->part.a);
  d->in_part = 0;
}

static void add_in_parts(struct digests *d, const uint8_t *data, size_t len) {
  while (len) {
    uint64_t room = d->part_bytes - d->in_part;
    size_t n = len < room ? len : (size_t)room;
    hasher_add(&d->part, data, n);
    data += n;
    len -= n;
    d->in_part += n;
    if (d->in_part == d->part_bytes)
      end_part(d);
  }
}

void digests_add(struct digests *d, const void *data, size_t len) {
  const uint8_t *p = data;

  while (len) { /* by little so that the second finds what the first has brought into the processor's cache */
    size_t n = len < MORSEL ? len : MORSEL;
    hasher_add(&d->sha256, p, n);
    if (d->has_pieces)
      sums_add(&d->sums, p, n);
    if (d->part_bytes)
      add_in_parts(d, p, n);
    else if (d->other.a)
      hasher_add(&d->other, p, n);
    p += n;
    len -= n;
  }
}

void digests_end(struct digests *d, char sha256[65], char wanted[65], struct sums *sums) {
  uint8_t raw[EVP_MAX_MD_SIZE];

  hasher_end(&d->sha256, raw);
  hex_encode(raw, d->sha256.a->bytes, sha256);
  if (d->in_part)
    end_part(d);
  if (d->other.a)
    hasher_end(&d->other, raw);
  hex_encode(raw, d->other.a ? d->other.a->bytes : d->sha256.a->bytes, wanted);
  if (sums) {
    sums_end(&d->sums);
    sums_fini(sums);
    *sums = d->sums;
    d->sums = (struct sums){.failed = false};
  }
}

int32_t digest_compare(const struct manifest_file *f, const char *wanted, struct ome_err *err) {
  if (!f->digest || strcasecmp(f->digest, wanted) == 0)
    return OME_OK;
  return fail(
      err, OME_E_CORRUPT,
      "verify: %.200s: the digest is %.12s..., listed is %.12s...; try again, or ask who provides it to look at it",
      f->path, wanted, f->digest);
}

int32_t digest_file(int fd, const struct manifest_file *f, bool (*stop)(void *), void *arg, char sha256[65],
                    char wanted[65], struct sums *sums, struct ome_err *err) {
  _cleanup_free_ uint8_t *piece = malloc(PIECE);
  _cleanup_(digests_freep) struct digests *d = digests_new(f);
  uint64_t at = 0;

  if (!piece || !d)
    return fail_memory(err);
  while (at < f->size) {
    size_t want = f->size - at < PIECE ? (size_t)(f->size - at) : PIECE;
    ssize_t n = pread(fd, piece, want, (off_t)at);
    if (n < 0)
      return fail_errno(err, "read", f->path);
    if (n == 0)
      return fail(err, OME_E_CORRUPT, "verify: %s: ends after %" PRIu64 " of %" PRIu64 " bytes", f->path, at, f->size);
    if (stop && stop(arg))
      return fail(err, OME_E_CANCELLED, "verify: %s: stopped", f->path);
    digests_add(d, piece, (size_t)n);
    at += (uint64_t)n;
  }
  digests_end(d, sha256, wanted, sums);
  return OME_OK;
}
