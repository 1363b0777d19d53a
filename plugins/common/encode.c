#include "encode.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

#define MAX_DIGEST ((size_t)64)

int base64_write(const void *data, size_t len, char *out, size_t size) {
  if (len > INT_MAX / 2 || size < BASE64_TEXT(len))
    return -1;
  out[0] = '\0'; /* of nothing OpenSSL writes nothing */
  (void)EVP_EncodeBlock((unsigned char *)out, data, (int)len);
  return 0;
}

int base64_write_url(const void *data, size_t len, char *out, size_t size) {
  if (base64_write(data, len, out, size) != 0)
    return -1;
  for (; *out && *out != '='; out++)
    *out = *out == '+' ? '-' : *out == '/' ? '_' : *out;
  *out = '\0';
  return 0;
}

int base64_read(const char *text, size_t len, unsigned char *out, size_t size) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint32_t bits = 0;
  int nbits = 0, n = 0;

  while (len && text[len - 1] == '=')
    len--;
  for (size_t i = 0; i < len; i++) {
    char c = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    const char *found = c ? strchr(alphabet, c) : NULL;
    if (!found)
      return -1;
    bits = bits << 6 | (uint32_t)(found - alphabet);
    nbits += 6;
    if (nbits < 8)
      continue;
    nbits -= 8;
    if ((size_t)n >= size)
      return -1;
    out[n++] = (unsigned char)(bits >> nbits);
  }
  return n;
}

void hex_write(const void *data, size_t len, char *out) {
  static const char digits[] = "0123456789abcdef";
  const unsigned char *bytes = data;

  for (size_t i = 0; i < len; i++) {
    *out++ = digits[bytes[i] >> 4];
    *out++ = digits[bytes[i] & 15];
  }
  *out = '\0';
}

int base64_to_hex(const char *text, size_t bytes, char *out, size_t size) {
  unsigned char raw[MAX_DIGEST];

  if (bytes > sizeof(raw) || size < 2 * bytes + 1 || strlen(text) != BASE64_TEXT(bytes) - 1 ||
      base64_read(text, strlen(text), raw, sizeof(raw)) != (int)bytes)
    return -1;
  hex_write(raw, bytes, out);
  return 0;
}

static int hex_value(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

int base64_from_hex(const char *hex, size_t bytes, char *out, size_t size) {
  unsigned char raw[MAX_DIGEST];

  if (!hex || bytes > sizeof(raw) || strlen(hex) != 2 * bytes)
    return -1;
  for (size_t i = 0; i < bytes; i++) {
    int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0)
      return -1;
    raw[i] = (unsigned char)(high << 4 | low);
  }
  return base64_write(raw, bytes, out, size);
}
