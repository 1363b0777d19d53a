#include "compose/command.h"

#include "base/buf.h"
#include "base/str.h"
#include "compose/container.h"
#include "compose/words.h"

#include <string.h>

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void add_words(struct buf *b, struct json_object *list) {
  for (size_t i = 0; i < json_len(list); i++)
    buf_addf(b, "%s%s", b->len ? " " : "", json_object_get_string(json_index(list, i)));
}

struct json_object *command_below(struct json_object *group, struct json_object *runner) {
  return json_find(json_get(group, "containers"), "name", json_str(runner, "name", "ome-container"));
}

char *command_text(struct json_object *group, struct json_object *runner) {
  struct json_object *below = command_below(group, runner);
  _cleanup_buf_ struct buf b = BUF_INIT;

  add_words(&b, json_get(json_get(runner, "command") ? runner : below, "command"));
  add_words(&b, json_get(below, "args"));
  add_words(&b, json_get(runner, "args"));
  return buf_ok(&b) ? strdup(b.len ? buf_str(&b) : "") : NULL;
}

/* ---- scripts ----------------------------------------------------------------------------------------------------- */

static bool is_shell(struct json_object *command) {
  const char *program = json_object_get_string(json_index(command, 0));
  const char *slash = program ? strrchr(program, '/') : NULL;
  const char *name = slash ? slash + 1 : program ? program : "";

  return streq(name, "sh") || streq(name, "bash") || streq(name, "dash");
}

/* Where the script of `sh -c` is: the word after the option, in command or args. */
static bool find_script(struct json_object *command, struct json_object *args, struct json_object **list, size_t *at) {
  struct json_object *lists[] = {command, args};
  bool next = false;

  for (size_t l = 0; l < ARRAY_LEN(lists); l++)
    for (size_t i = l == 0 ? 1 : 0; i < json_len(lists[l]); i++) {
      const char *word = json_object_get_string(json_index(lists[l], i));
      if (!word || streq(word, "--"))
        continue;
      if (next && *word != '-') {
        *list = lists[l];
        *at = i;
        return true;
      }
      next |= *word == '-' && strchr(word, 'c') != NULL;
    }
  return false;
}

/* Whether what is put behind SCRIPT belongs to its last command: nothing ends that command before. */
static bool is_open_ended(const char *script) {
  const char *last = NULL;
  char quote = '\0';

  for (const char *p = strstr(script, "exec "); p; p = strstr(p + 1, "exec "))
    last = p;
  for (const char *p = last ? last : script; *p; p++) {
    if (*p == '\\' && p[1])
      p++;
    else if (quote)
      quote = *p == quote ? '\0' : quote;
    else if (*p == '"' || *p == '\'')
      quote = *p;
    else if (strchr("|;&<>#()`", *p) || (*p == '\n' && p[strspn(p, " \t\n")]))
      return false;
  }
  return !quote;
}

/* Behind the last command of a shell's script. */
static int32_t add_to_script(struct json_object *list, size_t at, const char *const *words, size_t nwords,
                             bool *added) {
  const char *script = json_object_get_string(json_index(list, at));
  _cleanup_buf_ struct buf b = BUF_INIT;
  size_t n = strlen(script);

  while (n && strchr(" \t\n\\", script[n - 1]))
    n--;
  *added = is_open_ended(script);
  if (!*added)
    return OME_OK;
  buf_add(&b, script, n);
  for (size_t i = 0; i < nwords; i++)
    buf_addf(&b, " %s", words[i]);
  return buf_ok(&b) && json_object_array_put_idx(list, at, json_object_new_string(buf_str(&b))) == 0 ? OME_OK
                                                                                                     : OME_E_NO_MEMORY;
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

int32_t command_add(struct json_object *group, struct json_object *runner, const char *const *words, size_t nwords,
                    bool *added) {
  struct json_object *below = command_below(group, runner);
  struct json_object *command = json_get(runner, "command");
  struct json_object *script = NULL;
  size_t at = 0;

  if (json_len(command) == 0)
    command = json_get(below, "command");
  if (is_shell(command)) {
    if (find_script(command, json_get(runner, "args"), &script, &at))
      return add_to_script(script, at, words, nwords, added);
    *added = false;
    return OME_OK;
  }
  struct json_object *args = list_in(runner, "args");
  *added = true;
  for (size_t i = 0; i < nwords; i++)
    if (!words_add(args, words[i], NULL))
      return OME_E_NO_MEMORY;
  return OME_OK;
}
