/* storage "oras": models as OCI artifacts in a registry (OCI distribution specification v1.1):
 * oras://REGISTRY/REPOSITORY[:TAG][@DIGEST]. */
#include "../common/storage.h"
#include "oras_manifest.h"
#include "oras_session.h"

#include <ome-sdk/error.h>

#include "../common/json.h"
#include "../common/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUSH_ATTEMPTS 3 /* of a blob: an upload session that was cut off cannot be gone on with */

/* "REGISTRY/REPOSITORY:TAG" for messages. */
static void name_of(const struct oras_session *s, char out[700]) {
  (void)snprintf(out, 700, "%s/%s%c%s", s->at.registry, s->at.repository, s->at.is_digest ? '@' : ':', s->at.reference);
}

/* ---- manifests --------------------------------------------------------------------------------------------------- */

/* GETs the manifest or index REFERENCE; DIGEST gets its own, computed from its bytes. */
static int32_t get_manifest(struct oras_session *s, const char *reference, struct json_object **out,
                            char digest[ORAS_DIGEST_TEXT], struct ome_err *err) {
  char url[200], what[700], sha256[SHA256_TEXT];
  const struct oras_request req = {.method = "GET", .url = url, .accept = ORAS_ACCEPT};
  struct http_answer a = {0};

  name_of(s, what);
  (void)snprintf(url, sizeof(url), "/manifests/%s", reference);
  int32_t rc = oras_ask(s, &req, &a, err);
  if (rc == OME_OK && a.status != 200)
    rc = oras_refused(s, &a, reference, err);
  if (rc == OME_OK && sha256_of(a.body ? a.body : "", a.len, sha256) != 0)
    rc = ome_fail(err, OME_E_NO_MEMORY, "oras: out of memory");
  if (rc == OME_OK) {
    (void)snprintf(digest, ORAS_DIGEST_TEXT, "sha256:%s", sha256);
    if (oras_is_digest(reference) && strcmp(reference, digest) != 0)
      rc = ome_fail(err, OME_E_CORRUPT, "oras: %.200s: the registry sends another manifest than %.20s...", what,
                    reference);
  }
  if (rc == OME_OK)
    rc = oras_manifest_read(a.body, a.len, what, out, err);
  http_answer_fini(&a);
  return rc;
}

/* The manifest that the address names, through an index where it names one. */
static int32_t resolve(struct oras_session *s, struct json_object **out, char pinned[ORAS_DIGEST_TEXT],
                       struct ome_err *err) {
  char what[700], chosen[ORAS_DIGEST_TEXT], digest[ORAS_DIGEST_TEXT];
  struct json_object *index = NULL;
  int32_t rc = get_manifest(s, s->at.reference, out, pinned, err);

  if (rc != OME_OK || !oras_is_index(*out))
    return rc;
  index = *out;
  *out = NULL;
  name_of(s, what);
  rc = oras_index_choose(index, what, chosen, err);
  (void)json_object_put(index);
  if (rc == OME_OK)
    rc = get_manifest(s, chosen, out, digest, err);
  if (rc == OME_OK && oras_is_index(*out)) {
    (void)json_object_put(*out);
    *out = NULL;
    rc = ome_fail(err, OME_E_UNSUPPORTED, "oras: %.200s: is an index of indexes; name a manifest with @sha256:...",
                  what);
  }
  return rc;
}

/* ---- listing ----------------------------------------------------------------------------------------------------- */

struct listing {
  struct oras_session *session;
  struct ome_file_sink *out;
};

static int32_t push_file(void *arg, const struct oras_layer *l) {
  struct listing *list = arg;
  char url[800];
  const struct ome_model_file f = {.struct_size = sizeof(f),
                                   .digest_type = OME_DIGEST_SHA256,
                                   .path = l->path,
                                   .size = l->size,
                                   .digest = l->sha256,
                                   .url = url};

  (void)snprintf(url, sizeof(url), "%s/blobs/sha256:%s", list->session->base, l->sha256);
  return list->out->file(list->out, &f);
}

static int32_t match(void *self, const char *uri) {
  (void)self;
  return strncmp(uri, "oras://", 7) == 0 ? 100 : 0;
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  struct oras_session s = {.oras = self, .call = call, .ref = ref, .actions = "pull"};
  struct listing l = {&s, out};
  struct json_object *manifest = NULL;
  char pinned[ORAS_DIGEST_TEXT], what[700];
  int32_t rc = oras_session_init(&s, err);

  if (rc == OME_OK)
    rc = resolve(&s, &manifest, pinned, err);
  if (rc == OME_OK && out->revision && (rc = out->revision(out, pinned)) != OME_OK)
    rc = ome_sink_failed(err, rc);
  name_of(&s, what);
  if (rc == OME_OK)
    rc = oras_manifest_files(manifest, what, push_file, &l, err);
  (void)json_object_put(manifest);
  oras_session_fini(&s);
  return rc;
}

static int32_t headers(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                       const struct ome_model_file *file, struct ome_kv_sink *out, struct ome_err *err) {
  struct oras_session s = {.oras = self, .call = call, .ref = ref, .actions = "pull"};
  struct http_answer a = {0};
  char url[200], life[32];
  int32_t rc = oras_session_init(&s, err);

  if (rc == OME_OK && !s.authorization) { /* the registry says what it wants when it is asked for something */
    (void)snprintf(url, sizeof(url), "/manifests/%s", s.at.reference);
    const struct oras_request req = {.method = "HEAD", .url = url, .accept = ORAS_ACCEPT};
    rc = oras_ask(&s, &req, &a, err);
    http_answer_fini(&a);
  }
  uint64_t now = oras_now_ms();
  if (rc == OME_OK && s.authorization && *s.authorization && file->url && uri_is_below(file->url, s.origin)) {
    (void)snprintf(life, sizeof(life), "%llu", (unsigned long long)(s.expires_ms > now ? s.expires_ms - now : 1));
    rc = out->kv(out, "Authorization", s.authorization);
    if (rc == OME_OK)
      rc = out->kv(out, OME_REQUEST_EXPIRES, life);
    if (rc != OME_OK)
      rc = ome_sink_failed(err, rc);
  }
  oras_session_fini(&s);
  return rc;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* The place that the registry wants the blob at, with its digest: LOCATION may be relative. */
static char *place_of(const struct oras_session *s, const char *location, const char *sha256) {
  char *out = NULL;

  if (!location || (location[0] != '/' && strncmp(location, "http", 4) != 0))
    return NULL;
  return asprintf(&out, "%s%s%cdigest=sha256%%3A%s", location[0] == '/' ? s->origin : "", location,
                  strchr(location, '?') ? '&' : '?', sha256) < 0
             ? NULL
             : out;
}

/* One attempt at a blob (POST, then PUT: distribution specification §"Pushing blobs"): *STATUS is the last answer's. */
static int32_t put_blob(struct oras_session *s, const char *sha256, struct ome_bytes body, uint64_t len,
                        int32_t *status, struct ome_err *err) {
  const struct oras_request begin = {.method = "POST", .url = "/blobs/uploads/"};
  struct http_answer a = {0};
  char *url = NULL;
  int32_t rc = oras_ask(s, &begin, &a, err);

  if (rc == OME_OK && a.status != 202)
    rc = oras_refused(s, &a, "begin of an upload", err);
  if (rc == OME_OK && !(url = place_of(s, http_answer_header(&a, "location"), sha256)))
    rc = ome_fail(err, OME_E_UNAVAILABLE, "oras: %s: the registry names no place for the upload", s->at.registry);
  if (rc == OME_OK) {
    const struct oras_request put = {
        .method = "PUT", .url = url, .type = "application/octet-stream", .body = body, .len = len};
    rc = oras_ask(s, &put, &a, err);
  }
  *status = a.status;
  if (rc == OME_OK && a.status != 201)
    rc = oras_refused(s, &a, "upload", err);
  http_answer_fini(&a);
  free(url);
  return rc;
}

/* The blob SHA256 is there afterwards: BODY, or where that is NULL the file's LEN bytes. */
static int32_t push_blob(struct oras_session *s, const char *sha256, struct ome_bytes body, uint64_t len,
                         struct ome_err *err) {
  char url[100];
  const struct oras_request look = {.method = "HEAD", .url = url};
  struct http_answer a = {0};
  int32_t status = 0;

  (void)snprintf(url, sizeof(url), "/blobs/sha256:%s", sha256);
  int32_t rc = oras_ask(s, &look, &a, err);
  int there = a.status == 200;
  http_answer_fini(&a);
  for (int i = 0; rc == OME_OK && !there; i++) {
    rc = put_blob(s, sha256, body, len, &status, err);
    if (rc == OME_OK)
      return OME_OK;
    /* The session of the first attempt is in the way of its repetition. */
    if (i + 1 < PUSH_ATTEMPTS && (status == 400 || status == 404 || status == 416))
      rc = OME_OK;
  }
  return rc;
}

/* The tag's manifest to be added to, or a new one. */
static int32_t open_manifest(struct oras_session *s, struct json_object **out, struct ome_err *err) {
  static const char empty[] = ORAS_EMPTY;
  char digest[ORAS_DIGEST_TEXT], sha256[SHA256_TEXT];
  int32_t rc = get_manifest(s, s->at.reference, out, digest, err);

  const char *type = rc == OME_OK ? json_text_at(*out, "mediaType") : "";
  if (rc == OME_OK && (oras_is_index(*out) || (*type && strcmp(type, ORAS_TYPE_MANIFEST) != 0))) {
    (void)json_object_put(*out);
    *out = NULL;
    return ome_fail(err, OME_E_EXISTS, "oras: %s/%s:%s: holds an image or index; choose another tag", s->at.registry,
                    s->at.repository, s->at.reference);
  }
  if (rc != OME_E_NOT_FOUND)
    return rc;
  err->msg[0] = '\0';
  if (sha256_of(empty, sizeof(empty) - 1, sha256) != 0 || !(*out = oras_manifest_new()))
    return ome_fail(err, OME_E_NO_MEMORY, "oras: out of memory");
  return push_blob(s, sha256, (struct ome_bytes){empty, sizeof(empty) - 1}, 0, err);
}

/* A file whose blob is there and that the manifest does not name yet; on the stack of its upload(). */
struct oras_waiting {
  struct oras_waiting *next;
  char key[ORAS_KEY + 130]; /* which manifest, and as whom */
  struct oras_layer layer;
  int is_done; /* under `writing`, as the rest */
  int32_t rc;
  struct ome_err err;
};

/* The tag names the files of LIST from now on. */
static int32_t add_to_manifest(struct oras_session *s, const struct oras_waiting *list, struct ome_err *err) {
  struct json_object *manifest = NULL;
  struct http_answer a = {0};
  char url[200];
  int32_t rc = open_manifest(s, &manifest, err);

  for (; rc == OME_OK && list; list = list->next)
    if (oras_manifest_put(manifest, &list->layer) != 0)
      rc = ome_fail(err, OME_E_NO_MEMORY, "oras: %.200s cannot be put into the manifest", list->layer.path);
  if (rc == OME_OK) {
    const char *text = json_object_to_json_string_ext(manifest, JSON_C_TO_STRING_NOSLASHESCAPE);
    const struct oras_request put = {
        .method = "PUT", .url = url, .type = ORAS_TYPE_MANIFEST, .body = {text, text ? strlen(text) : 0}};
    (void)snprintf(url, sizeof(url), "/manifests/%s", s->at.reference);
    rc = oras_ask(s, &put, &a, err);
    if (rc == OME_OK && a.status != 201)
      rc = oras_refused(s, &a, "manifest", err);
  }
  http_answer_fini(&a);
  (void)json_object_put(manifest);
  return rc;
}

/* All that wait for the manifest KEY, out of the list. */
static struct oras_waiting *take_waiting(struct oras *o, const char *key) {
  struct oras_waiting *taken = NULL;

  (void)pthread_mutex_lock(&o->lock);
  for (struct oras_waiting **at = &o->waiting; *at;) {
    struct oras_waiting *w = *at;
    if (strcmp(w->key, key) != 0) {
      at = &w->next;
      continue;
    }
    *at = w->next;
    w->next = taken;
    taken = w;
  }
  (void)pthread_mutex_unlock(&o->lock);
  return taken;
}

/* Puts the file into the manifest, together with the others that have come to wait while one before them was written:
 * a registry looks at every layer each time. */
static int32_t commit(struct oras_session *s, const struct oras_layer *l, struct ome_err *err) {
  struct oras *o = s->oras;
  struct oras_waiting me = {.layer = *l};
  char key[ORAS_KEY];

  if (!oras_key(s, key))
    return ome_fail(err, OME_E_NO_MEMORY, "oras: out of memory");
  (void)snprintf(me.key, sizeof(me.key), "%s %s", key, s->at.reference);
  (void)pthread_mutex_lock(&o->lock);
  me.next = o->waiting;
  o->waiting = &me;
  (void)pthread_mutex_unlock(&o->lock);
  (void)pthread_mutex_lock(&o->writing);
  if (!me.is_done) {
    struct oras_waiting *group = take_waiting(o, me.key), *next;
    int32_t rc = add_to_manifest(s, group, err);
    for (struct oras_waiting *w = group; w; w = next) {
      next = w->next;
      w->rc = rc;
      w->err = *err;
      w->is_done = 1;
    }
  }
  (void)pthread_mutex_unlock(&o->writing);
  if (me.rc != OME_OK)
    *err = me.err;
  return me.rc;
}

static int32_t upload(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                      const struct ome_upload_file *file, struct ome_uploader *to, struct ome_err *err) {
  struct oras_session s = {.oras = self, .call = call, .ref = ref, .to = to, .actions = "pull,push"};
  const struct oras_layer l = {.path = file->path, .sha256 = file->sha256, .size = file->size};
  /* An empty file is a body of no bytes, not no body. */
  const struct ome_bytes body = {file->size ? NULL : "", 0};
  int32_t rc = oras_session_init(&s, err);

  if (rc == OME_OK && s.at.is_digest)
    rc = ome_fail(err, OME_E_INVALID, "oras: %s/%s: what is named by its digest cannot be added to; name a tag",
                  s.at.registry, s.at.repository);
  if (rc == OME_OK)
    rc = push_blob(&s, file->sha256, body, file->size, err);
  if (rc == OME_OK)
    rc = commit(&s, &l, err);
  oras_session_fini(&s);
  return rc;
}

/* ---- descriptor -------------------------------------------------------------------------------------------------- */

STORAGE_KEY(username, OME_KEY_STRING, "User for registries whose models bring none.");
STORAGE_KEY(password, OME_KEY_SECRET, "That user's password or access token.");
STORAGE_KEY(
    config, OME_KEY_STRING,
    "Docker's config.json with `auths`; without it $REGISTRY_AUTH_FILE, $DOCKER_CONFIG, ~/.docker/config.json.");
static const struct ome_key key_plain_http = {
    sizeof(struct ome_key),
    OME_KEY_BOOL,
    0,
    0,
    "plain_http",
    "false",
    "Whether registries are reached without TLS; those on this machine always are."};
static const struct ome_key *const keys[] = {&key_username, &key_password, &key_config, &key_plain_http, NULL};

static void destroy(void *self) {
  struct oras *o = self;

  if (!o)
    return;
  oras_tokens_fini(o);
  (void)pthread_mutex_destroy(&o->lock);
  (void)pthread_mutex_destroy(&o->writing);
  free(o->username);
  free(o->password);
  free(o->config);
  free(o);
}

/* False when memory ran out. */
static int copy_of(char **slot, const char *text) {
  *slot = text ? strdup(text) : NULL;
  return !text || *slot;
}

static int32_t create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err) {
  struct oras *o = calloc(1, sizeof(*o));
  const char *plain = kv_text(cfg, ncfg, "plain_http");

  if (!o)
    return ome_fail(err, OME_E_NO_MEMORY, "oras: out of memory");
  (void)pthread_mutex_init(&o->lock, NULL);
  (void)pthread_mutex_init(&o->writing, NULL);
  o->host = host;
  o->plain_http = plain && strcmp(plain, "true") == 0;
  if (!copy_of(&o->username, kv_text(cfg, ncfg, "username")) ||
      !copy_of(&o->password, kv_text(cfg, ncfg, "password")) || !copy_of(&o->config, kv_text(cfg, ncfg, "config"))) {
    destroy(o);
    return ome_fail(err, OME_E_NO_MEMORY, "oras: out of memory");
  }
  *out_self = o;
  return OME_OK;
}

STORAGE_SCHEMES("oras://");

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops), .match = match, .list = list, .headers = headers, .upload = upload, .schemes = schemes};

STORAGE_PLUGIN("oras", "Models as OCI artifacts in a registry (oras://)", keys, create, destroy);
