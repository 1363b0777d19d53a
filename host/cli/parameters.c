#include "cli/parameters.h"

#include "base/str.h"
#include "base/yaml.h"
#include "os/file.h"

#include <dirent.h>
#include <string.h>

#define VALUE_MAX ((size_t)64 << 10)
#define FILE_MAX ((size_t)1 << 20)

static void clear(char *text) {
  if (text)
    explicit_bzero(text, strlen(text));
  free(text);
}

void parameters_fini(struct parameters *p) {
  for (size_t i = 0; i < p->list.len; i++) {
    free((char *)(uintptr_t)p->list.items[i].key);
    clear((char *)(uintptr_t)p->list.items[i].value);
  }
  VEC_FREE(&p->list);
}

/* What other users of the machine may see in the list of processes. */
static bool is_secret(const char *key) {
  static const char *const words[] = {"token",       "secret",      "password", "passphrase",    "pass_phrase",
                                      "private_key", "account_key", "sas",      "authorization", "cookie"};

  if (has_suffix(key, "_file"))
    return false;
  for (size_t i = 0; i < ARRAY_LEN(words); i++)
    if (strcasestr(key, words[i]))
      return true;
  return false;
}

static int32_t read_value(const char *key, const char *given, char **out, struct ome_err *err) {
  size_t len = 0;

  if (*given != '@') {
    if (is_secret(key))
      return fail(err, OME_E_INVALID, "--parameter %s: is a secret, which a command line does not keep; use %s=@FILE",
                  key, key);
    *out = strdup(given);
    return *out ? OME_OK : fail_memory(err);
  }
  int32_t rc = file_read(given + 1, VALUE_MAX, out, &len, err);
  if (rc != OME_OK)
    return fail_prefix(err, "--parameter %s", key);
  if (strlen(*out) != len) {
    clear(*out);
    *out = NULL;
    return fail(err, OME_E_INVALID, "--parameter %s: %.200s is no text", key, given + 1);
  }
  while (len && ((*out)[len - 1] == '\n' || (*out)[len - 1] == '\r'))
    (*out)[--len] = '\0';
  return OME_OK;
}

/* Takes both, whatever happens. */
static int32_t take(struct parameters *p, char *key, char *value, struct ome_err *err) {
  const struct ome_kv pair = {key, value};

  if (key && value && VEC_PUSH(&p->list, pair))
    return OME_OK;
  free(key);
  clear(value);
  return fail_memory(err);
}

int32_t parameters_add(struct parameters *p, const char *key, const char *value, struct ome_err *err) {
  return take(p, strdup(key), strdup(value), err);
}

static int32_t add(struct parameters *p, const char *text, struct ome_err *err) {
  const char *is = strchr(text, '=');
  _cleanup_free_ char *key = is && is > text ? str_copy(text, (size_t)(is - text)) : NULL;
  char *value = NULL;

  if (!is || is == text)
    return fail(err, OME_E_INVALID, "--parameter: is KEY=VALUE or KEY=@FILE");
  if (!key)
    return fail_memory(err);
  int32_t rc = read_value(key, is + 1, &value, err);
  return rc == OME_OK ? take(p, TAKE_PTR(key), value, err) : rc;
}

/* ---- from files -------------------------------------------------------------------------------------------------- */

/* A mounted Secret has its keys as links; what begins with ".." is the kubelet's own. */
static int is_key(const struct dirent *e) {
  return strncmp(e->d_name, "..", 2) != 0 && !streq(e->d_name, ".");
}

static int by_key(const struct dirent **a, const struct dirent **b) {
  int token = streq((*b)->d_name, "token") - streq((*a)->d_name, "token");

  return token ? token : strcmp((*a)->d_name, (*b)->d_name);
}

static int32_t add_credentials(struct parameters *p, struct ome_err *err) {
  struct dirent **names = NULL;
  int n = scandir(p->credentials, &names, is_key, by_key);
  int32_t rc = n < 0 ? fail_errno(err, "--credentials", p->credentials) : OME_OK;

  for (int i = 0; i < n; i++) {
    _cleanup_free_ char *from = str_printf("@%s/%s", p->credentials, names[i]->d_name);
    char *value = NULL;
    if (rc == OME_OK)
      rc = from ? read_value(names[i]->d_name, from, &value, err) : fail_memory(err);
    if (value)
      rc = take(p, strdup(names[i]->d_name), value, err);
    free(names[i]);
  }
  free(names);
  return rc;
}

static int32_t add_file(struct parameters *p, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = NULL;
  _cleanup_free_ char *text = NULL;
  size_t len = 0;
  int32_t rc = file_read(p->file, FILE_MAX, &text, &len, err);

  if (rc == OME_OK)
    rc = yaml_parse_one(p->file, text, len, &o, err);
  clear(TAKE_PTR(text));
  if (rc != OME_OK)
    return fail_prefix(err, "--parameters-file");
  if (!json_is(o, json_type_object))
    return fail(err, OME_E_INVALID, "--parameters-file: %s: holds no object", p->file);
  json_object_object_foreach (o, key, v) {
    if (rc == OME_OK && v)
      rc = parameters_add(p, key, json_object_get_string(v), err);
  }
  return rc;
}

int32_t parameters_read(struct parameters *p, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < p->given.len; i++)
    rc = add(p, p->given.items[i], err);
  if (rc == OME_OK && p->credentials)
    rc = add_credentials(p, err);
  return rc == OME_OK && p->file ? add_file(p, err) : rc;
}
