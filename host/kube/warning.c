#include "kube/warning.h"

#include "base/str.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define NAME "warning: 299 "

/* Of QUOTED, which begins behind the first quote and ends with the line. */
static void unquote(const char *quoted, char out[WARNING_TEXT]) {
  size_t n = 0;

  for (const char *p = quoted; *p && *p != '\n' && *p != '"' && n < WARNING_TEXT - 1; p++) {
    if (*p == '\\' && p[1] && p[1] != '\n')
      p++;
    out[n++] = iscntrl((unsigned char)*p) ? ' ' : *p;
  }
  out[n] = '\0';
}

bool warning_next(const char **headers, char out[WARNING_TEXT]) {
  while (**headers) {
    const char *line = *headers, *end = strchr(line, '\n');
    *headers = end ? end + 1 : line + strlen(line);
    if (strncasecmp(line, NAME, strlen(NAME)) != 0)
      continue;
    size_t agent = strcspn(line + strlen(NAME), " \n");
    const char *text = line + strlen(NAME) + agent;
    if (strncmp(text, " \"", 2) != 0)
      continue;
    unquote(text + 2, out);
    return true;
  }
  return false;
}
