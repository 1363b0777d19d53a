#include "transfer/crc32c.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define HARDWARE __attribute__((target("sse4.2")))
#define STEP_8(crc, word) ((uint32_t)_mm_crc32_u64((crc), (word)))
#define STEP_1(crc, byte) _mm_crc32_u8((crc), (byte))
#define HAS_HARDWARE __builtin_cpu_supports("sse4.2")
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define HARDWARE
#define STEP_8(crc, word) __crc32cd((crc), (word))
#define STEP_1(crc, byte) __crc32cb((crc), (byte))
#define HAS_HARDWARE 1
#endif

static uint32_t table[256];

static void fill_table(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++)
      crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    table[i] = crc;
  }
}

static uint32_t by_table(uint32_t crc, const uint8_t *p, size_t len) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  (void)pthread_once(&once, fill_table);
  while (len--)
    crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
  return crc;
}

#ifdef HARDWARE
HARDWARE static uint32_t by_hardware(uint32_t crc, const uint8_t *p, size_t len) {
  uint64_t word;

  for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
    memcpy(&word, p, sizeof(word));
    crc = STEP_8(crc, word);
  }
  while (len--)
    crc = STEP_1(crc, *p++);
  return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len) {
#ifdef HARDWARE
  if (HAS_HARDWARE)
    return ~by_hardware(~crc, data, len);
#endif
  return ~by_table(~crc, data, len);
}
