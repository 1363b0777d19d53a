#include "aws_profile.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define BLANK " \t\r"

/* A piece of a line, without the blanks around it. */
struct piece {
  const char *at;
  size_t len;
};

static struct piece trim(const char *at, size_t len) {
  while (len && strchr(BLANK, *at))
    at++, len--;
  while (len && strchr(BLANK, at[len - 1]))
    len--;
  return (struct piece){at, len};
}

static int is(struct piece p, const char *text) {
  return strlen(text) == p.len && memcmp(p.at, text, p.len) == 0;
}

enum kind { LINE_NOTHING, LINE_SECTION, LINE_SETTING };

struct line {
  enum kind kind;
  int is_nested; /* begins with a blank: belongs to the setting above */
  struct piece name, value;
};

/* The line at *TEXT, which goes on to the next one; 0: the end. */
static int next_line(const char **text, struct line *out) {
  const char *begin = *text;
  size_t len = strcspn(begin, "\n");
  struct piece all = trim(begin, len);
  const char *equals = memchr(all.at, '=', all.len);

  if (*begin == '\0')
    return 0;
  *text = begin + len + (begin[len] == '\n');
  *out = (struct line){.kind = LINE_NOTHING, .is_nested = len && strchr(BLANK, *begin) != NULL};
  if (all.len == 0 || *all.at == '#' || *all.at == ';')
    return 1;
  if (*all.at == '[') {
    const char *close = memchr(all.at, ']', all.len);
    if (close) {
      out->kind = LINE_SECTION;
      out->name = trim(all.at + 1, (size_t)(close - all.at) - 1);
    }
  } else if (equals) {
    out->kind = LINE_SETTING;
    out->name = trim(all.at, (size_t)(equals - all.at));
    out->value = trim(equals + 1, (size_t)(all.at + all.len - equals) - 1);
  }
  return 1;
}

/* Whether LINE, below the setting PARENT, is KEY. */
static int is_key(const struct line *line, struct piece parent, const char *key) {
  const char *dot = strchr(key, '.');

  if (!line->is_nested)
    return !dot && is(line->name, key);
  return dot && parent.len == (size_t)(dot - key) && memcmp(parent.at, key, parent.len) == 0 && is(line->name, dot + 1);
}

int aws_profile_get(const char *text, const char *section, const char *key, char *out, size_t size) {
  struct piece found = {NULL, 0}, parent = {"", 0};
  struct line line;
  int is_inside = 0;

  while (next_line(&text, &line)) {
    if (line.kind == LINE_SECTION)
      is_inside = is(line.name, section);
    if (line.kind != LINE_SETTING || !is_inside)
      continue;
    if (is_key(&line, parent, key))
      found = line.value;
    if (!line.is_nested)
      parent = line.name;
  }
  if (!found.at || found.len == 0)
    return 0;
  if (found.len >= size)
    return -1;
  memcpy(out, found.at, found.len);
  out[found.len] = '\0';
  return 1;
}

int aws_profile_has(const char *text, const char *section) {
  struct line line;

  while (next_line(&text, &line))
    if (line.kind == LINE_SECTION && is(line.name, section))
      return 1;
  return 0;
}

int64_t aws_time(const char *text) {
  struct tm tm = {0};
  const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

  return rest && (*rest == 'Z' || *rest == '.' || *rest == '+' || *rest == 'U') ? (int64_t)timegm(&tm) : 0;
}
