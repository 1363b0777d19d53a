#include "hf_upload.h"

#include "../common/encode.h"
#include "../common/json.h"
#include "../common/upload.h"

#include <ome-sdk/error.h>

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_URL 2048
#define MAX_PATH 1200
#define SAMPLE 512                      /* of the file's first bytes: the hub judges by them */
#define INLINE ((uint64_t)10 << 20)     /* a commit carries no more; the hub wants larger files in LFS */
#define MAX_LFS ((uint64_t)5000000000u) /* of one request to the hub's store */

struct upload {
  const struct hf_target *t;
  const struct ome_upload_file *file;
  struct ome_uploader *to;
  struct ome_err *err;
  char path[MAX_PATH]; /* in the repository */
  char bearer[600];
  struct json_object *answer; /* to the latest request; NULL: it was no JSON */
};

static int32_t no_memory(const struct upload *u) {
  return ome_fail(u->err, OME_E_NO_MEMORY, "hf: out of memory");
}

static struct json_object *member(struct json_object *o, const char *key) {
  struct json_object *v = NULL;

  return json_object_object_get_ex(o, key, &v) ? v : NULL;
}

static void put(struct json_object *o, const char *key, struct json_object *v) {
  (void)json_object_object_add(o, key, v);
}

static void put_text(struct json_object *o, const char *key, const char *text) {
  put(o, key, json_object_new_string(text));
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static int32_t on_answer(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  struct upload *u = arg;
  const struct http_answer answer = upload_answer(a);

  (void)index;
  json_object_put(u->answer);
  u->answer = json_read(a->body.ptr ? a->body.ptr : "", a->body.len);
  return a->status / 100 == 2 ? OME_OK : u->t->refused(&answer, u->t->repo, u->t->token, u->err);
}

static int32_t send(struct upload *u, struct ome_upload_request *request) {
  const struct ome_list list = {.data = request, .count = 1, .stride = sizeof(*request)};

  request->struct_size = sizeof(*request);
  return u->to->send(u->to, &list, on_answer, u, u->err);
}

/* POSTs BODY to the hub itself, with the token. */
static int32_t post(struct upload *u, const char *url, const char *type, const char *body) {
  const struct ome_kv headers[] = {{"content-type", type}, {"accept", type}, {"authorization", u->bearer}};
  struct ome_upload_request request = {
      .method = "POST", .url = url, .headers = headers, .nheaders = *u->t->token ? 3 : 2, .body = {body, strlen(body)}};

  return body ? send(u, &request) : no_memory(u);
}

static int32_t address(const struct upload *u, const char *what, char out[MAX_URL]) {
  char revision[640];

  if (uri_encode(u->t->revision, 0, revision, sizeof(revision)) != 0 ||
      snprintf(out, MAX_URL, "%s/api/models/%s/%s/%s", u->t->endpoint, u->t->repo, what, revision) >= MAX_URL)
    return ome_fail(u->err, OME_E_INVALID, "hf: %s: the address is too long", u->t->repo);
  return OME_OK;
}

/* new: LEN bytes from the file's beginning in base64; NULL: memory ran out, or it cannot be read. */
static char *read_base64(struct upload *u, uint64_t len) {
  unsigned char *bytes = malloc(len ? len : 1);
  char *text = malloc(BASE64_TEXT(len));

  if (!bytes || !text)
    (void)no_memory(u);
  else if (len && u->to->read(u->to, 0, len, bytes, u->err) != OME_OK)
    text[0] = '\0';
  else if (base64_write(bytes, len, text, BASE64_TEXT(len)) == 0) {
    free(bytes);
    return text;
  }
  free(bytes);
  free(text);
  return NULL;
}

/* ---- how the hub wants it ---------------------------------------------------------------------------------------- */

static int32_t ask_mode(struct upload *u, int *lfs) {
  struct json_object *body = json_object_new_object(), *files = json_object_new_array(), *f = json_object_new_object();
  char *sample = read_base64(u, u->file->size < SAMPLE ? u->file->size : SAMPLE);
  char url[MAX_URL];
  int32_t rc = sample ? address(u, "preupload", url) : u->err->code;

  put_text(f, "path", u->path);
  put_text(f, "sample", sample ? sample : "");
  put(f, "size", json_object_new_int64((int64_t)u->file->size));
  (void)json_object_array_add(files, f);
  put(body, "files", files);
  if (rc == OME_OK)
    rc = post(u, url, "application/json", json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN));
  json_object_put(body);
  free(sample);
  if (rc != OME_OK)
    return rc;
  struct json_object *told = json_array_at(u->answer, "files");
  struct json_object *first = told ? json_object_array_get_idx(told, 0) : NULL;
  if (json_object_get_boolean(member(first, "shouldIgnore")))
    return ome_fail(u->err, OME_E_INVALID, "hf: %s: the repository's .gitignore names %.300s", u->t->repo, u->path);
  *lfs = u->file->size && (u->file->size > INLINE || strcmp(json_text_at(first, "uploadMode"), "lfs") == 0);
  return OME_OK;
}

/* ---- LFS (git-lfs' batch API) ------------------------------------------------------------------------------------ */

#define LFS_TYPE "application/vnd.git-lfs+json"

static int32_t ask_batch(struct upload *u) {
  struct json_object *body = json_object_new_object(), *all = json_object_new_array(), *o = json_object_new_object();
  struct json_object *transfers = json_object_new_array();
  char url[MAX_URL];

  (void)json_object_array_add(transfers, json_object_new_string("basic"));
  put_text(o, "oid", u->file->sha256);
  put(o, "size", json_object_new_int64((int64_t)u->file->size));
  (void)json_object_array_add(all, o);
  put_text(body, "operation", "upload");
  put(body, "transfers", transfers);
  put(body, "objects", all);
  put_text(body, "hash_algo", "sha256");
  (void)snprintf(url, sizeof(url), "%s/%s.git/info/lfs/objects/batch", u->t->endpoint, u->t->repo);
  int32_t rc = post(u, url, LFS_TYPE, json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN));
  json_object_put(body);
  return rc;
}

/* The bytes to where the store says, which is elsewhere: without the token, with the headers that it names. */
static int32_t send_bytes(struct upload *u, struct json_object *action) {
  struct json_object *named = member(action, "header");
  struct ome_kv headers[16];
  uint64_t n = 0;
  char *url = strdup(json_text_at(action, "href"));

  if (!url)
    return no_memory(u);
  if (json_object_is_type(named, json_type_object)) {
    json_object_object_foreach (named, key, value) {
      if (n < 16)
        headers[n++] = (struct ome_kv){key, json_object_get_string(value)};
    }
  }
  struct ome_upload_request request = {
      .method = "PUT", .url = url, .headers = headers, .nheaders = n, .len = u->file->size};
  struct json_object *kept = json_object_get(action); /* the headers' texts are in it, and the answer replaces it */
  int32_t rc = *url ? send(u, &request)
                    : ome_fail(u->err, OME_E_UNAVAILABLE, "hf: %s: the hub's LFS store names no address for %.300s",
                               u->t->repo, u->path);
  json_object_put(kept);
  free(url);
  return rc;
}

static int32_t store(struct upload *u) {
  if (u->file->size > MAX_LFS)
    return ome_fail(u->err, OME_E_UNSUPPORTED, "hf: %s: %.300s is larger than 5 GB, which takes the Hub's own client",
                    u->t->repo, u->path);
  int32_t rc = ask_batch(u);
  if (rc != OME_OK)
    return rc;
  struct json_object *objects = json_array_at(u->answer, "objects");
  struct json_object *first = objects ? json_object_array_get_idx(objects, 0) : NULL;
  struct json_object *error = member(first, "error");
  if (!first || error)
    return ome_fail(u->err, OME_E_DENIED, "hf: %s: the hub's LFS store does not take %.300s: %.300s", u->t->repo,
                    u->path, json_text_at(error, "message"));
  struct json_object *action = member(member(first, "actions"), "upload");
  return action ? send_bytes(u, action) : OME_OK; /* it has them */
}

/* ---- the commit -------------------------------------------------------------------------------------------------- */

/* new: {key, value} as a line. */
static char *line(const char *key, struct json_object *value) {
  struct json_object *o = json_object_new_object();
  char *text = NULL;

  put_text(o, "key", key);
  put(o, "value", value);
  const char *json = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
  if (json && (text = malloc(strlen(json) + 2)))
    (void)sprintf(text, "%s\n", json);
  json_object_put(o);
  return text;
}

/* new: what the commit says of the file. */
static char *file_line(struct upload *u, int lfs) {
  struct json_object *value = json_object_new_object();

  put_text(value, "path", u->path);
  if (lfs) {
    put_text(value, "algo", "sha256");
    put_text(value, "oid", u->file->sha256);
    put(value, "size", json_object_new_int64((int64_t)u->file->size));
    return line("lfsFile", value);
  }
  char *content = read_base64(u, u->file->size);
  if (!content) {
    json_object_put(value);
    return NULL;
  }
  put_text(value, "content", content);
  put_text(value, "encoding", "base64");
  free(content);
  return line("file", value);
}

static int32_t commit(struct upload *u, int lfs) {
  struct json_object *head = json_object_new_object();
  char summary[MAX_PATH + 16], url[MAX_URL];
  char *second = NULL, *body = NULL;
  int32_t rc = address(u, "commit", url);

  (void)snprintf(summary, sizeof(summary), "Upload %s", u->path);
  put_text(head, "summary", summary);
  put_text(head, "description", "");
  char *first = line("header", head);
  if (rc == OME_OK)
    second = file_line(u, lfs);
  if (first && second && (body = malloc(strlen(first) + strlen(second) + 1)))
    (void)sprintf(body, "%s%s", first, second);
  if (rc == OME_OK)
    rc = body ? post(u, url, "application/x-ndjson", body) : u->err->code ? u->err->code : no_memory(u);
  free(first);
  free(second);
  free(body);
  return rc;
}

int32_t hf_upload(const struct hf_target *t, const struct ome_upload_file *file, struct ome_uploader *to,
                  struct ome_err *err) {
  struct upload u = {.t = t, .file = file, .to = to, .err = err};
  int lfs = 0;

  if (snprintf(u.path, sizeof(u.path), "%s%s%s", t->below, *t->below ? "/" : "", file->path) >= (int)sizeof(u.path))
    return ome_fail(err, OME_E_INVALID, "hf: %s: the path %.80s... is too long", t->repo, file->path);
  (void)snprintf(u.bearer, sizeof(u.bearer), "Bearer %s", t->token);
  int32_t rc = ask_mode(&u, &lfs);
  if (rc == OME_OK && lfs)
    rc = store(&u);
  if (rc == OME_OK)
    rc = commit(&u, lfs);
  json_object_put(u.answer);
  return rc;
}
