/* The small readers: quantities, times, numbers, names, encodings. */
#include "base/clock.h"
#include "base/quantity.h"
#include "base/str.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = str_copy((const char *)data, size);
  int64_t i = 0;
  uint64_t u = 0;
  size_t len = 0;
  uint8_t raw[32];

  (void)quantity_milli(text, &i);
  (void)quantity_value(text, &i);
  (void)time_parse(text, &i);
  (void)str_to_i64(text, &i);
  (void)str_to_u64(text, &u);
  (void)is_dns_label(text);
  (void)is_dns_subdomain(text);
  (void)hex_decode(text, raw, sizeof(raw));
  free(base64_decode(text, &len));
  free(url_decode(text, size));
  free(url_encode(text, true));
  free(str_split(text, ','));
  free(text);
  return 0;
}
