/* Text of outside taken into fixed members. */
#ifndef PLUGINS_COMMON_TEXT_H
#define PLUGINS_COMMON_TEXT_H

#include <stddef.h>
#include <string.h>

/* LEN bytes of FROM and a NUL into OUT; -1: they do not fit. */
static inline int text_copy(char *out, size_t size, const char *from, size_t len) {
  if (len >= size)
    return -1;
  memcpy(out, from, len);
  out[len] = '\0';
  return 0;
}

/* Whether TEXT has a control character of ASCII. */
static inline int text_has_control(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < ' ' || *text == 0x7f)
      return 1;
  return 0;
}

#endif
