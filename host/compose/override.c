#include "compose/override.h"

#include "base/buf.h"
#include "base/str.h"
#include "compose/words.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_WORDS 1024 /* of one list of arguments; what is more stays as it is */

/* ---- flags ------------------------------------------------------------------------------------------------------- */

/* "-1" is a value. */
static bool is_flag(const char *word) {
  return word[0] == '-' && word[1] && !isdigit((unsigned char)word[1]) && word[1] != '.';
}

/* Of "--a=b" and "--a b" the part that two flags are compared by. */
static size_t key_length(const char *word) {
  return is_flag(word) ? strcspn(word, "= \t") : strlen(word);
}

static bool same_key(const char *a, const char *b) {
  size_t n = key_length(a);

  return n == key_length(b) && strncmp(a, b, n) == 0;
}

/* How many of the words from WORDS[I] on belong together: a flag that has no value in its own word takes the next. */
static size_t group_size(const char *const *words, size_t n, size_t i) {
  bool complete = !is_flag(words[i]) || words[i][key_length(words[i])];

  return !complete && i + 1 < n && !is_flag(words[i + 1]) ? 2 : 1;
}

struct words {
  const char *items[MAX_WORDS];
  size_t n;
};

static void push(struct words *w, const char *const *words, size_t n) {
  for (size_t i = 0; i < n && w->n < MAX_WORDS; i++)
    w->items[w->n++] = words[i];
}

/* The group of W whose key is that of WORD; W->n: there is none. */
static size_t find_group(const struct words *w, const char *word) {
  for (size_t i = 0; i < w->n; i += group_size(w->items, w->n, i))
    if (same_key(w->items[i], word))
      return i;
  return w->n;
}

/* BASE with what OVER says: in the place of the first of its key, of which no other stays; else at the end. */
static void merge_words(const struct words *base, const struct words *over, struct words *out) {
  for (size_t i = 0, size; i < base->n; i += size) {
    size = group_size(base->items, base->n, i);
    size_t at = find_group(over, base->items[i]);
    if (at == over->n)
      push(out, &base->items[i], size);
    else if (find_group(base, base->items[i]) == i)
      push(out, &over->items[at], group_size(over->items, over->n, at));
  }
  for (size_t i = 0, size; i < over->n; i += size) {
    size = group_size(over->items, over->n, i);
    if (find_group(base, over->items[i]) == base->n)
      push(out, &over->items[i], size);
  }
}

/* ---- lists and scripts ------------------------------------------------------------------------------------------- */

static bool is_script(const char *text) {
  return strchr(text, '\n') != NULL;
}

static void read_words(struct json_object *list, struct words *out) {
  for (size_t i = 0; i < json_len(list) && out->n < MAX_WORDS; i++)
    if (json_is(json_index(list, i), json_type_string))
      out->items[out->n++] = json_object_get_string(json_index(list, i));
}

/* The lines of TEXT, cut apart in place: without the blanks around them and the backslash at the end of each. */
static void read_lines(char *text, struct words *out) {
  char *rest = text;

  for (char *line; (line = strsep(&rest, "\n")) && out->n < MAX_WORDS;) {
    line += strspn(line, " \t\r");
    size_t n = strlen(line);
    while (n && strchr(" \t\r\\", line[n - 1]))
      n--;
    line[n] = '\0';
    if (n)
      out->items[out->n++] = line;
  }
}

static struct json_object *list_of(const struct words *w) {
  _cleanup_json_ struct json_object *list = json_object_new_array();

  for (size_t i = 0; list && i < w->n; i++)
    if (!words_add(list, w->items[i], NULL))
      return NULL;
  return TAKE_PTR(list);
}

static struct json_object *script_of(const struct words *w) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < w->n; i++)
    buf_addf(&b, "%s%s", i ? " \\\n" : "", w->items[i]);
  return buf_ok(&b) ? json_object_new_string(buf_str(&b)) : NULL;
}

/* The place of the script, of several lines, among ARGS; their number: there is none. */
static size_t find_script(struct json_object *args) {
  for (size_t i = 0; i < json_len(args); i++)
    if (json_is(json_index(args, i), json_type_string) && is_script(json_object_get_string(json_index(args, i))))
      return i;
  return json_len(args);
}

static bool merge_script(struct json_object *args, size_t at, const struct words *over) {
  _cleanup_free_ char *text = strdup(json_object_get_string(json_index(args, at)));
  _cleanup_free_ struct words *lines = calloc(2, sizeof(*lines)); /* before and after */

  if (!text || !lines)
    return false;
  read_lines(text, &lines[0]);
  merge_words(&lines[0], over, &lines[1]);
  struct json_object *script = script_of(&lines[1]);
  return script && json_object_array_put_idx(args, at, script) == 0;
}

static bool merge_args(struct json_object *runner, struct json_object *override) {
  struct json_object *args = json_get(runner, "args");
  _cleanup_free_ struct words *w = calloc(3, sizeof(*w)); /* base, override, result */

  if (json_len(override) == 0 || json_len(args) > MAX_WORDS)
    return true;
  if (json_len(args) == 0)
    return json_set(runner, "args", json_copy(override));
  if (!w)
    return false;
  read_words(override, &w[1]);
  size_t script = find_script(args);
  if (script < json_len(args))
    return merge_script(args, script, &w[1]);
  read_words(args, &w[0]);
  merge_words(&w[0], &w[1], &w[2]);
  struct json_object *list = list_of(&w[2]);
  return list && json_set(runner, "args", list);
}

/* ---- parallelism ------------------------------------------------------------------------------------------------- */

struct parallelism {
  const char *field;
  const char *flags[3]; /* the engines' spellings */
};

static const struct parallelism sizes[] = {
    {"tensorParallelSize", {"--tp-size", "--tp", "--tensor-parallel-size"}},
    {"pipelineParallelSize", {"--pp-size", "--pp", "--pipeline-parallel-size"}},
    {"dataParallelSize", {"--dp-size", "--dp", "--data-parallel-size"}},
};

/* Where FLAG with a value stands in the text of a script; *LEN is that of both.  NULL: nowhere. */
static const char *find_in_script(const char *text, const char *flag, size_t *len) {
  size_t n = strlen(flag);

  for (const char *at = text; (at = strstr(at, flag)); at += n) {
    const char *value = at + n;
    if ((at > text && !strchr(" \t\n'\"", at[-1])) || !*value || !strchr("= \t", *value))
      continue;
    value += strspn(value, "= \t");
    *len = (size_t)(value - at) + strcspn(value, " \t\n'\"\\|;&");
    return at;
  }
  return NULL;
}

/* 1: the value of FLAG in LIST, the I-th word or what follows it, is SIZE now; 0: it is another word; -1: out of
 * memory. */
static int set_in_word(struct json_object *list, size_t i, const char *flag, const char *size) {
  const char *word = json_object_get_string(json_index(list, i));
  _cleanup_free_ char *text = NULL;
  size_t len = 0, place = i;

  if (!word)
    return 0;
  const char *at = find_in_script(word, flag, &len);
  if (streq(word, flag) && i + 1 < json_len(list)) {
    place = i + 1;
    text = strdup(size);
  } else if (at) {
    text = str_printf("%.*s%s=%s%s", (int)(at - word), word, flag, size, at + len);
  } else {
    return 0;
  }
  struct json_object *s = text ? json_object_new_string(text) : NULL;
  return s && json_object_array_put_idx(list, place, s) == 0 ? 1 : -1;
}

/* As set_in_word(), of the first spelling that LIST has. */
static int set_in_list(struct json_object *list, const struct parallelism *p, const char *size) {
  for (size_t f = 0; f < ARRAY_LEN(p->flags); f++)
    for (size_t i = 0; i < json_len(list); i++) {
      int done = set_in_word(list, i, p->flags[f], size);
      if (done)
        return done;
    }
  return 0;
}

static bool set_sizes(struct json_object *runner, struct json_object *override) {
  for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
    int64_t n = json_i64(override, sizes[i].field, 0);
    char text[24];
    if (n <= 0)
      continue;
    (void)snprintf(text, sizeof(text), "%lld", (long long)n);
    int done = set_in_list(json_get(runner, "args"), &sizes[i], text);
    if (done == 0)
      done = set_in_list(json_get(runner, "command"), &sizes[i], text);
    if (done < 0)
      return false;
  }
  return true;
}

int32_t override_runner(struct json_object *config, struct json_object *runner, struct ome_err *err) {
  if (!config || !runner)
    return OME_OK;
  bool ok = merge_args(runner, json_get(config, "runtimeArgsOverride")) &&
            set_sizes(runner, json_get(config, "tensorParallelismOverride"));

  return ok ? OME_OK : fail_memory(err);
}
