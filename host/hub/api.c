#include "hub/api.h"

#include "base/json.h"
#include "base/str.h"
#include "base/strmap.h"
#include "hub/reader.h"
#include "net/http_server.h"
#include "os/file.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define PAGE 1000u       /* files of one answer */
#define WAITING_MAX 256u /* requests whose repositories are yet to be read */
#define LFS_POINTER 134  /* bytes of the text that stands for such a file in git */

struct hub_api {
  struct hub_api_config cfg;
  char *token;
  struct reader *reader;
  struct strmap *repositories; /* name -> struct repository as last read, where the source says what is current */
  unsigned nwaiting;
};

static void repository_drop(void *p) {
  repository_free(p);
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static void answer_json(struct http_exchange *x, int status, struct json_object *owned) {
  _cleanup_json_ struct json_object *o = owned;
  _cleanup_free_ char *text = json_text(o);

  http_respond(x, status, "application/json; charset=utf-8", text, text ? strlen(text) : 0);
}

/* The hub's way to say why: two headers and a small body. */
static void answer_error(struct http_exchange *x, int status, const char *code, const char *message) {
  struct json_object *o = json_object_new_object();

  http_add_header(x, "X-Error-Code", code);
  http_add_header(x, "X-Error-Message", message);
  if (status == 429 || status == 503)
    http_add_header(x, "Retry-After", "1");
  (void)json_set_str(o, "error", message);
  answer_json(x, status, o);
}

/* RFC 3339, as the hub has it. */
static void set_time(struct json_object *o, const char *key, time_t when) {
  struct tm tm;
  char text[40];

  if (gmtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000Z", &tm))
    (void)json_set_str(o, key, text);
}

static struct json_object *describe(const struct repository *r, const struct repo_file *f, bool expand) {
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "type", "file");
  (void)json_set_str(o, "oid", f->digests.sha1);
  (void)json_set_i64(o, "size", (int64_t)f->size);
  (void)json_set_str(o, "path", f->path);
  if (repo_file_is_lfs(f)) {
    (void)json_set_str(o, "lfs.oid", f->digests.sha256);
    (void)json_set_i64(o, "lfs.size", (int64_t)f->size);
    (void)json_set_i64(o, "lfs.pointerSize", LFS_POINTER);
  }
  if (expand) {
    (void)json_set_str(o, "lastCommit.id", r->commit);
    (void)json_set_str(o, "lastCommit.title", "as it is on disk");
    set_time(o, "lastCommit.date", f->changed.tv_sec);
  }
  return o;
}

/* ---- repositories ----------------------------------------------------------------------------------------------- */

typedef void answer_fn(struct hub_api *h, struct http_exchange *x, const struct repository *r, const char *rest);

/* A request that waits for its repository to be read. */
struct waiting {
  struct hub_api *hub;
  struct http_exchange *x; /* NULL: its client is gone */
  answer_fn *answer;
  char *name;
  char *rest; /* of the path, behind the name */
};

static void waiting_free(struct waiting *w) {
  if (!w)
    return;
  free(w->name);
  free(w->rest);
  free(w);
}

static void on_gone(void *arg, struct http_exchange *x) {
  struct waiting *w = arg;

  (void)x;
  w->x = NULL;
}

static void answer_unread(struct http_exchange *x, const struct ome_err *err) {
  if (err->code == OME_E_NOT_FOUND)
    answer_error(x, 404, "RepoNotFound", "Repository not found");
  else if (err->code == OME_E_INVALID)
    answer_error(x, 404, "RevisionNotFound", "Revision not found");
  else
    answer_error(x, err->code == OME_E_BUSY ? 503 : 500, "Unreadable", err->msg);
}

/* Takes R, if it is to be kept; what W's request is answered from. */
static const struct repository *keep(struct hub_api *h, const char *name, struct repository *r) {
  if (!h->cfg.source.is_current)
    return r;
  return strmap_put(h->repositories, name, r) ? r : NULL;
}

static void on_read(void *arg, struct repository *r, const struct ome_err *err) {
  struct waiting *w = arg;
  struct hub_api *h = w->hub;
  const struct repository *kept = r ? keep(h, w->name, r) : NULL;

  h->nwaiting--;
  if (!r)
    (void)strmap_del(h->repositories, w->name);
  if (w->x)
    http_on_close(w->x, NULL, NULL);
  if (w->x && kept)
    w->answer(h, w->x, kept, w->rest);
  else if (w->x && r)
    answer_error(w->x, 500, "Internal", "out of memory");
  else if (w->x)
    answer_unread(w->x, err);
  if (!kept || !h->cfg.source.is_current)
    repository_free(r);
  waiting_free(w);
}

/* What REST, "tree/REV/more" or "resolve/REV/more", is asked for at; new; NULL: it cannot be read. */
static char *revision_of(const char *rest) {
  const char *slash = strchr(rest, '/');

  return slash ? url_decode(slash + 1, strcspn(slash + 1, "/")) : strdup(HUB_BRANCH);
}

/* Answers X by ANSWER once the repository has been read as it is now. */
static void with_repository(struct hub_api *h, struct http_exchange *x, const char *name, const char *rest,
                            answer_fn *answer) {
  _cleanup_free_ char *revision = revision_of(rest);
  struct ome_err err = ERR_INIT;

  if (!path_is_safe(name)) {
    answer_error(x, 404, "RepoNotFound", "Repository not found");
    return;
  }
  if (!revision) {
    answer_error(x, 404, "RevisionNotFound", "Revision not found");
    return;
  }
  if (h->nwaiting >= WAITING_MAX) {
    answer_error(x, 503, "Busy", "too many wait for repositories to be read");
    return;
  }
  struct waiting *w = calloc(1, sizeof(*w));
  if (w)
    *w = (struct waiting){h, x, answer, strdup(name), strdup(rest)};
  if (!w || !w->name || !w->rest || reader_ask(h->reader, name, revision, on_read, w, &err) != OME_OK) {
    waiting_free(w);
    answer_error(x, 500, "Internal", "out of memory");
    return;
  }
  h->nwaiting++;
  http_on_close(x, on_gone, w);
}

bool hub_is_commit(const char *revision) {
  return strlen(revision) == HUB_COMMIT_LEN && strspn(revision, "0123456789abcdef") == HUB_COMMIT_LEN;
}

/* A branch leads to what the source gave for it; a commit has to be that of it. */
static bool check_revision(struct http_exchange *x, const struct repository *r, const char *revision) {
  if (!hub_is_commit(revision) || streq(revision, r->commit))
    return true;
  answer_error(x, 404, "RevisionNotFound", "Revision not found");
  return false;
}

/* One of the info's files; with blobs=true it tells of the content, too. */
static struct json_object *sibling(const struct repo_file *f, bool blobs) {
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "rfilename", f->path);
  if (!blobs)
    return o;
  (void)json_set_str(o, "blobId", f->digests.sha1);
  (void)json_set_i64(o, "size", (int64_t)f->size);
  if (repo_file_is_lfs(f)) {
    (void)json_set_str(o, "lfs.sha256", f->digests.sha256);
    (void)json_set_i64(o, "lfs.size", (int64_t)f->size);
    (void)json_set_i64(o, "lfs.pointerSize", LFS_POINTER);
  }
  return o;
}

static bool is_set(struct http_exchange *x, const char *query) {
  const char *v = http_query(x, query);

  return v && (strcasecmp(v, "true") == 0 || streq(v, "1"));
}

static void answer_info(struct http_exchange *x, const struct repository *r) {
  struct json_object *o = json_object_new_object();
  struct json_object *siblings = json_object_new_array();

  (void)json_set_str(o, "_id", r->commit);
  (void)json_set_str(o, "id", r->name);
  (void)json_set_str(o, "modelId", r->name);
  (void)json_set_str(o, "sha", r->commit);
  (void)json_set_bool(o, "private", false);
  (void)json_set_bool(o, "gated", false);
  (void)json_set_bool(o, "disabled", false);
  (void)json_set_i64(o, "downloads", 0);
  (void)json_set_i64(o, "likes", 0);
  set_time(o, "lastModified", r->changed);
  (void)json_set(o, "tags", json_object_new_array());
  for (size_t i = 0; i < r->files.len; i++)
    (void)json_add(siblings, sibling(&r->files.items[i], is_set(x, "blobs")));
  (void)json_set(o, "siblings", siblings);
  answer_json(x, 200, o);
}

/* What comes after FOLDER ("" : the root) in PATH; NULL: PATH is not in it. */
static const char *below(const char *path, const char *folder) {
  size_t n = strlen(folder);

  if (n == 0)
    return path;
  return strncmp(path, folder, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

/* Adds the folders below FOLDER on the way to PATH that PREVIOUS, the path before it in order, is not in. */
static void list_folders(struct json_object *list, const struct repository *r, const char *folder, const char *path,
                         const char *previous, bool recursive) {
  const char *slash = strchr(below(path, folder), '/');

  for (; slash; slash = recursive ? strchr(slash + 1, '/') : NULL) {
    size_t n = (size_t)(slash - path);
    if (previous && strncmp(path, previous, n + 1) == 0)
      continue;
    _cleanup_free_ char *name = str_copy(path, n);
    struct json_object *o = json_object_new_object();
    (void)json_set_str(o, "type", "directory");
    (void)json_set_str(o, "oid", r->commit);
    (void)json_set_i64(o, "size", 0);
    (void)json_set_str(o, "path", name ? name : "");
    (void)json_add(list, o);
  }
}

/* Link to the page that starts at file NEXT (RFC 8288); the path is repeated as it was asked for. */
static void add_next_page(struct http_exchange *x, size_t next) {
  _cleanup_free_ char *base = http_base_url(x);
  _cleanup_free_ char *link =
      !base ? NULL
            : str_printf("<%s%s?recursive=%s&expand=%s&cursor=%zu>; rel=\"next\"", base, http_path(x),
                         is_set(x, "recursive") ? "true" : "false", is_set(x, "expand") ? "true" : "false", next);

  if (link)
    http_add_header(x, "Link", link);
}

static bool has_folder(const struct repository *r, const char *folder) {
  if (!*folder)
    return true;
  for (size_t i = 0; i < r->files.len; i++)
    if (below(r->files.items[i].path, folder))
      return true;
  return false;
}

static void answer_tree(struct http_exchange *x, const struct repository *r, const char *folder) {
  const char *cursor = http_query(x, "cursor");
  bool recursive = is_set(x, "recursive"), expand = is_set(x, "expand");
  uint64_t start = 0;
  size_t i;

  if (!has_folder(r, folder)) {
    answer_error(x, 404, "EntryNotFound", "Entry not found");
    return;
  }
  if (cursor && !str_to_u64(cursor, &start)) {
    answer_error(x, 400, "InvalidCursor", "The cursor is not one of this server");
    return;
  }
  struct json_object *list = json_object_new_array();
  for (i = (size_t)start; i < r->files.len && json_len(list) < PAGE; i++) {
    const char *path = r->files.items[i].path;
    const char *rest = below(path, folder);
    if (!rest)
      continue;
    list_folders(list, r, folder, path, i ? r->files.items[i - 1].path : NULL, recursive);
    if (recursive || !strchr(rest, '/'))
      (void)json_add(list, describe(r, &r->files.items[i], expand));
  }
  if (i < r->files.len)
    add_next_page(x, i);
  answer_json(x, 200, list);
}

static void describe_path(struct json_object *list, const struct repository *r, const char *path, bool expand) {
  const struct repo_file *f = path ? repository_find(r, path) : NULL;

  if (f)
    (void)json_add(list, describe(r, f, expand));
}

/* "paths=A&paths=B&expand=true" (application/x-www-form-urlencoded), as the Python client sends it. */
static void describe_form(struct json_object *list, const struct repository *r, const char *text, size_t len) {
  _cleanup_free_ char *copy = str_copy(text, len);
  bool expand = copy && (strstr(copy, "expand=true") || strstr(copy, "expand=True"));
  char *rest = NULL;

  for (char *c = copy; c && *c; c++)
    if (*c == '+')
      *c = ' ';
  for (char *pair = copy ? strtok_r(copy, "&", &rest) : NULL; pair; pair = strtok_r(NULL, "&", &rest)) {
    _cleanup_free_ char *path = has_prefix(pair, "paths=") ? url_decode(pair + 6, strlen(pair + 6)) : NULL;
    describe_path(list, r, path, expand);
  }
}

static void answer_paths_info(struct http_exchange *x, const struct repository *r) {
  _cleanup_json_ struct json_object *body = NULL;
  struct json_object *list = json_object_new_array();
  struct ome_err err = ERR_INIT;
  size_t len;
  const char *text = http_body(x, &len);

  if (has_prefix(http_header(x, "content-type"), "application/x-www-form-urlencoded")) {
    describe_form(list, r, text ? text : "", len);
  } else if (json_parse(text, len, 0, &body, &err) == OME_OK) {
    struct json_object *paths = json_at(body, "paths");
    for (size_t i = 0; i < json_len(paths); i++)
      describe_path(list, r, json_object_get_string(json_index(paths, i)),
                    json_object_get_boolean(json_at(body, "expand")));
  }
  answer_json(x, 200, list);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* "-N": the last N bytes, TEXT being N.  As parse_range(). */
static int parse_suffix(const char *text, uint64_t size, uint64_t *first, uint64_t *last) {
  uint64_t n;

  if (!str_to_u64(text, &n) || n == 0)
    return 0;
  *first = size > n ? size - n : 0;
  *last = size - 1;
  return 1;
}

/* Of a file that is not empty (of an empty one any range is ignored: clients that ask for the first byte to learn the
 * size would take 416 for an error): "bytes=A-B", "bytes=A-", "bytes=-N" (RFC 9110 section 14).  1: a range; 0: none
 * that we serve, several ranges above all, which section 14.2 lets a server ignore; -1: not satisfiable. */
static int parse_range(const char *text, uint64_t size, uint64_t *first, uint64_t *last) {
  _cleanup_free_ char *copy = has_prefix(text, "bytes=") ? strdup(text + 6) : NULL;
  char *dash = copy ? strchr(copy, '-') : NULL;

  if (!dash || strchr(copy, ','))
    return 0;
  *dash = '\0';
  if (!*copy)
    return parse_suffix(dash + 1, size, first, last);
  *last = UINT64_MAX;
  if (!str_to_u64(copy, first) || (dash[1] && !str_to_u64(dash + 1, last)) || *last < *first)
    return 0;
  if (*first >= size)
    return -1;
  if (*last >= size)
    *last = size - 1;
  return 1;
}

static void add_file_headers(struct http_exchange *x, const struct repository *r, const struct repo_file *f) {
  _cleanup_free_ char *etag = str_printf("\"%s\"", repo_file_is_lfs(f) ? f->digests.sha256 : f->digests.sha1);
  _cleanup_free_ char *size = str_printf("%llu", (unsigned long long)f->size);

  http_add_header(x, "ETag", etag);
  http_add_header(x, "Accept-Ranges", "bytes");
  http_add_header(x, "X-Repo-Commit", r->commit);
  if (repo_file_is_lfs(f)) {
    http_add_header(x, "X-Linked-Size", size);
    http_add_header(x, "X-Linked-Etag", etag);
  }
}

/* If-Range (RFC 9110 section 13.1.5): part of another content is of no use, the client gets the whole of this one. */
static bool is_wanted(struct http_exchange *x, const struct repo_file *f) {
  const char *etag = http_header(x, "if-range");
  const char *now = repo_file_is_lfs(f) ? f->digests.sha256 : f->digests.sha1;

  return !etag || (*etag == '"' && strncmp(etag + 1, now, strlen(now)) == 0 && streq(etag + 1 + strlen(now), "\""));
}

static void hang_up(void *arg, struct http_exchange *x) {
  (void)arg;
  http_abort(x);
}

static void answer_file(struct hub_api *h, struct http_exchange *x, const struct repository *r, const char *path) {
  const struct repo_file *f = repository_find(r, path);
  const char *range = http_header(x, "range");
  uint64_t first = 0;
  uint64_t last;
  char content_range[96];

  if (!f) {
    http_add_header(x, "X-Repo-Commit", r->commit);
    answer_error(x, 404, "EntryNotFound", "Entry not found");
    return;
  }
  int fd = h->cfg.source.open(h->cfg.source.arg, r, f);
  if (fd < 0) {
    answer_error(x, 404, "EntryNotFound", "Entry not found");
    return;
  }
  int kind = range && f->size && is_wanted(x, f) ? parse_range(range, f->size, &first, &last) : 0;
  if (kind == 0)
    first = 0;
  add_file_headers(x, r, f);
  if (kind < 0) {
    (void)close(fd);
    (void)snprintf(content_range, sizeof(content_range), "bytes */%llu", (unsigned long long)f->size);
    http_add_header(x, "Content-Range", content_range);
    http_respond(x, 416, NULL, "", 0);
    return;
  }
  uint64_t len = kind ? last - first + 1 : f->size;
  if (kind) {
    (void)snprintf(content_range, sizeof(content_range), "bytes %llu-%llu/%llu", (unsigned long long)first,
                   (unsigned long long)last, (unsigned long long)f->size);
    http_add_header(x, "Content-Range", content_range);
  }
  http_respond_start(x, kind ? 206 : 200, "application/octet-stream", (int64_t)len);
  if (h->cfg.fault_cut && len > h->cfg.fault_cut) {
    http_respond_file(x, fd, first, h->cfg.fault_cut);
    http_on_drain(x, hang_up, NULL);
    return;
  }
  http_send_file(x, fd, first, len, h->cfg.sent);
}

/* ---- routes ----------------------------------------------------------------------------------------------------- */

static bool is_allowed(const struct hub_api *h, struct http_exchange *x) {
  const char *value = http_header(x, "authorization");
  size_t n = h->token ? strlen(h->token) : 0;

  if (!h->token)
    return true;
  return has_prefix(value, "Bearer ") && strlen(value + 7) == n && CRYPTO_memcmp(value + 7, h->token, n) == 0;
}

static bool is_segment(const char *text, size_t n, const char *const *names) {
  for (; *names; names++)
    if (strlen(*names) == n && strncmp(text, *names, n) == 0)
      return true;
  return false;
}

/* "org/name" of PATH's first two segments, or "name" where one of VERBS and more come next; new.  *REST is what
 * follows, without a slash. */
static char *take_name(const char *path, const char *const *verbs, const char **rest) {
  size_t n = strcspn(path, "/");

  if (path[n] == '/') {
    const char *second = path + n + 1;
    size_t len = strcspn(second, "/");
    if (second[len] != '/' || !is_segment(second, len, verbs))
      n += 1 + len;
  }
  *rest = path[n] == '/' ? path + n + 1 : "";
  return str_copy(path, n);
}

/* "REV/more" apart, both decoded and new. */
static bool take_revision(const char *text, char **revision, char **more) {
  size_t n = strcspn(text, "/");

  *revision = url_decode(text, n);
  *more = url_decode(text + n + (text[n] == '/'), strlen(text + n + (text[n] == '/')));
  return *revision && *more;
}

static void answer_api(struct hub_api *h, struct http_exchange *x, const struct repository *r, const char *rest) {
  (void)h;
  _cleanup_free_ char *revision = NULL;
  _cleanup_free_ char *more = NULL;
  const char *slash = strchr(rest, '/');

  if (!*rest) {
    answer_info(x, r);
    return;
  }
  if (!slash || !take_revision(slash + 1, &revision, &more)) {
    answer_error(x, 404, "NotFound", "Not found");
    return;
  }
  if (!check_revision(x, r, revision))
    return;
  if (has_prefix(rest, "revision/"))
    answer_info(x, r);
  else if (has_prefix(rest, "tree/"))
    answer_tree(x, r, more);
  else if (has_prefix(rest, "paths-info/"))
    answer_paths_info(x, r);
  else
    answer_error(x, 404, "NotFound", "Not found");
}

static void handle_api(struct hub_api *h, struct http_exchange *x, const char *path) {
  static const char *const verbs[] = {"revision", "tree", "paths-info", NULL};
  const char *rest = "";
  _cleanup_free_ char *name = take_name(path, verbs, &rest);

  /* Further pages of a list are of what its first one was of; reading all of it for each would take pages x files. */
  bool goes_on = has_prefix(rest, "tree/") && http_query(x, "cursor");
  const struct repository *r = name && goes_on ? strmap_get(h->repositories, name) : NULL;
  if (r)
    answer_api(h, x, r, rest);
  else if (name)
    with_repository(h, x, name, rest, answer_api);
  else
    answer_error(x, 404, "NotFound", "Not found");
}

static void answer_resolve(struct hub_api *h, struct http_exchange *x, const struct repository *r, const char *rest) {
  _cleanup_free_ char *revision = NULL;
  _cleanup_free_ char *path = NULL;

  if (!take_revision(strchr(rest, '/') + 1, &revision, &path))
    answer_error(x, 404, "NotFound", "Not found");
  else if (check_revision(x, r, revision))
    answer_file(h, x, r, path);
}

/* Whether the file that REST names is still as R has it, so that nothing must be read again. */
static bool is_current(const struct hub_api *h, const struct repository *r, const char *rest) {
  _cleanup_free_ char *revision = NULL;
  _cleanup_free_ char *path = NULL;
  const struct repo_file *f =
      r && take_revision(strchr(rest, '/') + 1, &revision, &path) ? repository_find(r, path) : NULL;

  return f && h->cfg.source.is_current(h->cfg.source.arg, r, f);
}

static void handle_file(struct hub_api *h, struct http_exchange *x, const char *path) {
  static const char *const verbs[] = {"resolve", "raw", NULL};
  const char *rest = "";
  _cleanup_free_ char *name = take_name(path, verbs, &rest);

  if (!name || !(has_prefix(rest, "resolve/") || has_prefix(rest, "raw/"))) {
    answer_error(x, 404, "NotFound", "Not found");
    return;
  }
  const struct repository *r = strmap_get(h->repositories, name);
  if (is_current(h, r, rest))
    answer_resolve(h, x, r, rest);
  else
    with_repository(h, x, name, rest, answer_resolve);
}

/* Who a token belongs to.  There is one account, and only where a token is asked for. */
static void answer_whoami(const struct hub_api *h, struct http_exchange *x) {
  struct json_object *o;

  if (!h->token) {
    answer_error(x, 401, "Unauthorized", "Invalid username or password.");
    return;
  }
  o = json_object_new_object();
  (void)json_set_str(o, "type", "user");
  (void)json_set_str(o, "name", "ome");
  (void)json_set_str(o, "fullname", "ome hub");
  (void)json_set(o, "orgs", json_object_new_array());
  (void)json_set_str(o, "auth.type", "access_token");
  (void)json_set_str(o, "auth.accessToken.displayName", "ome hub");
  (void)json_set_str(o, "auth.accessToken.role", "read");
  answer_json(x, 200, o);
}

void hub_api_handle(void *hub_api, struct http_exchange *x) {
  struct hub_api *h = hub_api;
  const char *path = http_path(x);

  if (h->cfg.fault_status)
    answer_error(x, h->cfg.fault_status, h->cfg.fault_status == 404 ? "RepoNotFound" : "Fault", "fault by --fault");
  else if (!is_allowed(h, x))
    answer_error(x, 401, "Unauthorized", "Invalid username or password.");
  else if (streq(path, "/api/whoami-v2"))
    answer_whoami(h, x);
  else if (has_prefix(path, "/api/models/"))
    handle_api(h, x, path + strlen("/api/models/"));
  else
    handle_file(h, x, path + 1);
}

int32_t hub_api_new(struct loop *loop, const struct hub_api_config *cfg, struct hub_api **out, struct ome_err *err) {
  struct hub_api *h = calloc(1, sizeof(*h));

  if (!h)
    return fail_memory(err);
  h->cfg = *cfg;
  h->token = cfg->token ? strdup(cfg->token) : NULL;
  h->repositories = strmap_new(repository_drop);
  bool ok = h->repositories && (h->token || !cfg->token);
  int32_t rc = ok ? reader_start(loop, &h->cfg.source, &h->reader, err) : fail_memory(err);
  if (rc != OME_OK) {
    hub_api_free(h);
    return rc;
  }
  *out = h;
  return OME_OK;
}

void hub_api_free(struct hub_api *h) {
  if (!h)
    return;
  reader_stop(h->reader);
  strmap_free(h->repositories);
  free(h->token);
  free(h);
}
