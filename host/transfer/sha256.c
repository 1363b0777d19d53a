#include "transfer/sha256.h"

#include <endian.h>
#include <openssl/evp.h>
#include <string.h>

/* ---- with instructions of x86 ------------------------------------------------------------------------------------ */

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>

#define SHA_NI __attribute__((target("sha,ssse3,sse4.1")))
#define INLINE static inline __attribute__((always_inline))

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static bool able;

static void look(void) {
  unsigned a, b, c, d, b7, c7;

  able = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSSE3) && (c & bit_SSE4_1) &&
         __get_cpuid_count(7, 0, &a, &b7, &c7, &d) && (b7 & bit_SHA);
}

/* Asked once: a virtual machine's processor asks its host. */
static bool has_instructions(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  (void)pthread_once(&once, look);
  return able;
}

/* One content: its state in the order of the instructions, and the last sixteen words of its schedule. */
struct lane {
  __m128i abef, cdgh, w[4];
};

SHA_NI INLINE struct lane load(const uint32_t state[8]) {
  __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
  __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);

  return (struct lane){.abef = _mm_alignr_epi8(cdab, efgh, 8), .cdgh = _mm_blend_epi16(efgh, cdab, 0xf0)};
}

SHA_NI INLINE void save(const struct lane *x, uint32_t state[8]) {
  __m128i feba = _mm_shuffle_epi32(x->abef, 0x1b), dchg = _mm_shuffle_epi32(x->cdgh, 0xb1);

  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Rounds 4 * I and the three after it of the block at P. */
SHA_NI INLINE void four_rounds(struct lane *x, const uint8_t *p, unsigned i) {
  __m128i *w = &x->w[i & 3], before = x->w[(i + 3) & 3];

  if (i < 4) {
    *w = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * i)),
                          _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
  } else {
    __m128i sum =
        _mm_add_epi32(_mm_sha256msg1_epu32(*w, x->w[(i + 1) & 3]), _mm_alignr_epi8(before, x->w[(i + 2) & 3], 4));
    *w = _mm_sha256msg2_epu32(sum, before);
  }
  __m128i wk = _mm_add_epi32(*w, _mm_loadu_si128((const __m128i *)(constants + 4 * i)));
  x->cdgh = _mm_sha256rnds2_epu32(x->cdgh, x->abef, wk);
  x->abef = _mm_sha256rnds2_epu32(x->abef, x->cdgh, _mm_shuffle_epi32(wk, 0x0e));
}

/* A block of each; B may be NULL. */
SHA_NI INLINE void block_of_each(struct lane *a, const uint8_t *pa, struct lane *b, const uint8_t *pb) {
  const struct lane a0 = *a, b0 = b ? *b : a0;

#define ROUNDS(i) four_rounds(a, pa, i), b ? four_rounds(b, pb, i) : (void)0
  ROUNDS(0), ROUNDS(1), ROUNDS(2), ROUNDS(3), ROUNDS(4), ROUNDS(5), ROUNDS(6), ROUNDS(7);
  ROUNDS(8), ROUNDS(9), ROUNDS(10), ROUNDS(11), ROUNDS(12), ROUNDS(13), ROUNDS(14), ROUNDS(15);
#undef ROUNDS
  a->abef = _mm_add_epi32(a->abef, a0.abef);
  a->cdgh = _mm_add_epi32(a->cdgh, a0.cdgh);
  if (b) {
    b->abef = _mm_add_epi32(b->abef, b0.abef);
    b->cdgh = _mm_add_epi32(b->cdgh, b0.cdgh);
  }
}

SHA_NI static void blocks(uint32_t state[8], const uint8_t *p, size_t n) {
  struct lane x = load(state);

  for (; n; n--, p += SHA256_BLOCK)
    block_of_each(&x, p, NULL, NULL);
  save(&x, state);
}

SHA_NI static void blocks_of_both(struct sha256 *a, const uint8_t *pa, struct sha256 *b, const uint8_t *pb, size_t n) {
  struct lane x = load(a->state), y = load(b->state);

  for (; n; n--, pa += SHA256_BLOCK, pb += SHA256_BLOCK)
    block_of_each(&x, pa, &y, pb);
  save(&x, a->state);
  save(&y, b->state);
}

#else

static bool has_instructions(void) {
  return false;
}

static void blocks(uint32_t state[8], const uint8_t *p, size_t n) {
  (void)state, (void)p, (void)n;
}

static void blocks_of_both(struct sha256 *a, const uint8_t *pa, struct sha256 *b, const uint8_t *pb, size_t n) {
  (void)a, (void)pa, (void)b, (void)pb, (void)n;
}

#endif

/* ---- one content ------------------------------------------------------------------------------------------------- */

bool sha256_begin(struct sha256 *s) {
  *s = (struct sha256){
      .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
  if (has_instructions())
    return true;
  s->md = EVP_MD_CTX_new();
  return s->md && EVP_DigestInit_ex(s->md, EVP_sha256(), NULL) == 1;
}

void sha256_fini(struct sha256 *s) {
  EVP_MD_CTX_free(s->md);
  s->md = NULL;
}

void sha256_add(struct sha256 *s, const void *data, size_t len) {
  const uint8_t *p = data;
  size_t there = s->len % SHA256_BLOCK, room = SHA256_BLOCK - there;

  if (s->md) {
    (void)EVP_DigestUpdate(s->md, data, len);
    return;
  }
  s->len += len;
  if (there && len >= room) {
    memcpy(s->rest + there, p, room);
    blocks(s->state, s->rest, 1);
    p += room;
    len -= room;
    there = 0;
  }
  if (there == 0 && len >= SHA256_BLOCK) {
    blocks(s->state, p, len / SHA256_BLOCK);
    p += len - len % SHA256_BLOCK;
    len %= SHA256_BLOCK;
  }
  if (len)
    memcpy(s->rest + there, p, len);
}

void sha256_add_both(struct sha256 *a, const void *to_a, struct sha256 *b, const void *to_b, size_t len) {
  size_t whole = a->md || b->md || a->len % SHA256_BLOCK || b->len % SHA256_BLOCK ? 0 : len - len % SHA256_BLOCK;

  if (whole) {
    blocks_of_both(a, to_a, b, to_b, whole / SHA256_BLOCK);
    a->len += whole;
    b->len += whole;
  }
  sha256_add(a, (const uint8_t *)to_a + whole, len - whole);
  sha256_add(b, (const uint8_t *)to_b + whole, len - whole);
}

void sha256_end(struct sha256 *s, uint8_t out[SHA256_BYTES]) {
  static const uint8_t padding[SHA256_BLOCK] = {0x80};
  uint64_t bits = htobe64(s->len * 8);

  if (s->md) {
    (void)EVP_DigestFinal_ex(s->md, out, NULL);
    return;
  }
  sha256_add(s, padding, SHA256_BLOCK - (s->len + sizeof(bits)) % SHA256_BLOCK);
  sha256_add(s, &bits, sizeof(bits));
  for (size_t i = 0; i < 8; i++) {
    uint32_t big = htobe32(s->state[i]);
    memcpy(out + 4 * i, &big, sizeof(big));
  }
}
