#include "oci_list.h"

#include <ome-sdk/error.h>

#include "../common/encode.h"
#include "../common/json.h"
#include "oci_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int32_t read_object(struct json_object *entry, const char *what,
                           int32_t (*on_object)(void *arg, const struct oci_object *o), void *arg,
                           struct ome_err *err) {
  struct json_object *size = NULL;
  struct oci_object o = {.name = "", .md5 = ""};
  char md5[OCI_HEX_TEXT];

  if (json_object_is_type(entry, json_type_object))
    o.name = json_text_at(entry, "name");
  if (!*o.name || strlen(o.name) >= OCI_NAME_TEXT || !json_object_object_get_ex(entry, "size", &size) ||
      !json_object_is_type(size, json_type_int) || json_object_get_int64(size) < 0)
    return ome_fail(err, OME_E_UNAVAILABLE, "oci: %.200s: an entry of its list has no name or size", what);
  o.size = (uint64_t)json_object_get_int64(size);
  if (base64_to_hex(json_text_at(entry, "md5"), 16, md5, sizeof(md5)) == 0)
    o.md5 = md5;
  o.etag = json_text_at(entry, "etag");
  const char *state = json_text_at(entry, "archivalState");
  o.is_archived = strcasecmp(state, "Archived") == 0 || strcasecmp(state, "Restoring") == 0;
  return on_object(arg, &o);
}

int32_t oci_page_read(const char *text, size_t len, const char *what,
                      int32_t (*on_object)(void *arg, const struct oci_object *o), void *arg, char next[OCI_NAME_TEXT],
                      struct ome_err *err) {
  struct json_object *page = json_read(text, len);
  struct json_object *objects = json_object_is_type(page, json_type_object) ? json_array_at(page, "objects") : NULL;
  int32_t rc = OME_OK;

  next[0] = '\0';
  if (!objects)
    rc = ome_fail(err, OME_E_UNAVAILABLE,
                  "oci: %.200s: its list of objects cannot be read; check that the endpoint is Object Storage", what);
  for (size_t i = 0; rc == OME_OK && i < json_object_array_length(objects); i++)
    rc = read_object(json_object_array_get_idx(objects, i), what, on_object, arg, err);
  const char *start = rc == OME_OK ? json_text_at(page, "nextStartWith") : "";
  if (strlen(start) < OCI_NAME_TEXT)
    (void)snprintf(next, OCI_NAME_TEXT, "%s", start);
  else
    rc = ome_fail(err, OME_E_UNAVAILABLE, "oci: %.200s: the start of the next page is too long", what);
  (void)json_object_put(page);
  return rc;
}

static void one_line(char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < ' ' || *text == 0x7f)
      *text = ' ';
}

void oci_error_read(const char *text, size_t len, char *why, size_t size, char code[64]) {
  struct json_object *o = json_read(text, len);
  int is_object = json_object_is_type(o, json_type_object);
  const char *message = is_object ? json_text_at(o, "message") : "";

  (void)snprintf(code, 64, "%s", is_object ? json_text_at(o, "code") : "");
  (void)snprintf(why, size, "%s%s%s", code, *code && *message ? ": " : "", message);
  one_line(code);
  one_line(why);
  (void)json_object_put(o);
}

int oci_word_read(const char *text, size_t len, const char *key, char *out, size_t size) {
  struct json_object *o = json_read(text, len), *v = o;
  int rc = -1;

  if (key && (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v)))
    v = NULL;
  if (v && json_object_is_type(v, json_type_string)) {
    const char *word = json_object_get_string(v);
    size_t n = (size_t)json_object_get_string_len(v);
    if (n > 0 && n < size && word[0] != '.' &&
        strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n) {
      memcpy(out, word, n + 1);
      rc = 0;
    }
  }
  (void)json_object_put(o);
  return rc;
}

char *oci_commit_body(char *const *etags, uint32_t n) {
  struct json_object *o = json_object_new_object(), *list = json_object_new_array();
  char *out = NULL;

  (void)json_object_object_add(o, "partsToCommit", list);
  for (uint32_t i = 0; i < n; i++) {
    struct json_object *part = json_object_new_object();
    (void)json_object_object_add(part, "partNum", json_object_new_int64((int64_t)i + 1));
    (void)json_object_object_add(part, "etag", json_object_new_string(etags[i]));
    (void)json_object_array_add(list, part);
  }
  const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
  if (text)
    out = strdup(text);
  (void)json_object_put(o);
  return out;
}
