#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "cli/storage_suite_internal.h"
#include "os/file.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LIST_TIMEOUT_MS 120000u
#define HOSTILE_TIMEOUT_MS 10000u
#define ANSWER_MS 1000u /* in which a call that is to end has to */
#define THREADS 8
#define MAX_EXPECT ((size_t)64 << 20)
#define MAX_PARAMS 16

/* ---- verdicts ---------------------------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 3, 0)))
set(struct suite_verdict *v, enum conform_outcome outcome, const char *fmt, va_list ap) {
  if (v->outcome == CONFORM_FAIL) /* the first complaint is kept */
    return;
  v->outcome = outcome;
  (void)vsnprintf(v->detail, sizeof(v->detail), fmt, ap);
}

#define DEFINE_VERDICT(name, outcome)                                                                                  \
  void name(struct suite_verdict *v, const char *fmt, ...) {                                                           \
    va_list ap;                                                                                                        \
    va_start(ap, fmt);                                                                                                 \
    set(v, outcome, fmt, ap);                                                                                          \
    va_end(ap);                                                                                                        \
  }

DEFINE_VERDICT(suite_fail, CONFORM_FAIL)
DEFINE_VERDICT(suite_skip, CONFORM_SKIP)
DEFINE_VERDICT(suite_note, CONFORM_PASS)

/* ---- what is listed ---------------------------------------------------------------------------------------------- */

int32_t suite_list(const struct suite *s, const char *uri, const struct ome_kv *params, uint64_t nparams,
                   struct manifest *out, struct ome_err *err) {
  const struct plugin_call call = {.timeout_ms = LIST_TIMEOUT_MS};
  const struct ome_model_ref ref = {.struct_size = sizeof(ref), .uri = uri, .params = params, .nparams = nparams};

  return manifest_list(s->storage, &call, &ref, out, err);
}

static void check_list(struct suite *s, struct suite_verdict *v) {
  struct ome_err err = ERR_INIT;
  size_t with_digest = 0;

  if (suite_list(s, s->opt->uri, NULL, 0, &s->listed, &err) != OME_OK) {
    suite_fail(v, "%s", err.msg);
    return;
  }
  for (size_t i = 0; i < s->listed.files.len; i++)
    with_digest += s->listed.files.items[i].digest != NULL;
  if (s->listed.files.len == 0)
    suite_fail(v, "list() names no file");
  suite_note(v, "%zu files, %zu with a digest, revision %s", s->listed.files.len, with_digest,
             s->listed.revision ? s->listed.revision : "none");
}

static void check_stable(struct suite *s, struct suite_verdict *v) {
  _cleanup_manifest_ struct manifest again = {0};
  struct ome_err err = ERR_INIT;
  char first[65], second[65];

  if (suite_list(s, s->opt->uri, NULL, 0, &again, &err) != OME_OK) {
    suite_fail(v, "the second time: %s", err.msg);
    return;
  }
  manifest_identity(&s->listed, first);
  manifest_identity(&again, second);
  if (!streq(s->listed.revision, again.revision))
    suite_fail(v, "revision %s became %s, and nobody changed anything",
               s->listed.revision ? s->listed.revision : "none", again.revision ? again.revision : "none");
  else if (!streq(first, second))
    suite_fail(v, "the same revision lists other files, sizes or digests the second time");
}

const struct expected *suite_expected(const struct suite *s, const char *path) {
  for (size_t i = 0; i < s->expected.len; i++)
    if (streq(s->expected.items[i].path, path))
      return &s->expected.items[i];
  return NULL;
}

/* Every file and no other: one more than a page holds is the usual fault. */
static void check_complete(struct suite *s, struct suite_verdict *v) {
  if (s->expected.len == 0) {
    suite_skip(v, "what is there is not known; give --expect SHA256SUMS");
    return;
  }
  for (size_t i = 0; i < s->expected.len; i++)
    if (!manifest_find(&s->listed, s->expected.items[i].path))
      suite_fail(v, "%s is there and not listed (%zu of %zu are)", s->expected.items[i].path, s->listed.files.len,
                 s->expected.len);
  if (s->listed.files.len > s->expected.len)
    suite_fail(v, "%zu files are listed and %zu are there", s->listed.files.len, s->expected.len);
  for (size_t i = 0; i < s->listed.files.len; i++) {
    const struct manifest_file *f = &s->listed.files.items[i];
    const struct expected *e = suite_expected(s, f->path);
    if (e && f->digest && f->digest_type == OME_DIGEST_SHA256 && strcasecmp(f->digest, e->sha256) != 0)
      suite_fail(v, "%s is listed with another SHA-256 than it has", f->path);
  }
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

/* Whether a failure is one that a person can act on. */
static bool is_said(const struct ome_err *err, struct suite_verdict *v, const char *of) {
  if (!err->msg[0] || strpbrk(err->msg, "\r\n"))
    suite_fail(v, "%s: fails without a sentence of one line", of);
  else if (err->code == OME_E_INTERNAL)
    suite_fail(v, "%s: fails as if it were a defect of the plugin: %s", of, err->msg);
  return v->outcome != CONFORM_FAIL;
}

static char *repeated(const char *head, char c, size_t n) {
  struct buf b = BUF_INIT;

  buf_adds(&b, head);
  for (size_t i = 0; i < n; i++)
    buf_addc(&b, c);
  return buf_take(&b);
}

/* Fails, or finds nothing: never a file from elsewhere. */
static void check_hostile(struct suite *s, struct suite_verdict *v) {
  const char *uri = s->opt->uri, *rest = strstr(uri, "://");
  _cleanup_free_ char *scheme = str_copy(uri, rest ? (size_t)(rest - uri) + 3 : strlen(uri));
  const struct {
    const char *name;
    char *uri;
  } cases[] = {
      {"no path", strdup(scheme)},
      {"a control character", str_printf("%s\x01/x", scheme)},
      {"a way up", str_printf("%s/../../../../../../../../etc", uri)},
      {"an encoded way up", str_printf("%s/%%2e%%2e/%%2e%%2e/%%2e%%2e/etc", uri)},
      {"another header", str_printf("%s\r\nX-Injected: 1", uri)},
      {"no UTF-8", str_printf("%s/\xff\xfe", uri)},
      {"a long name", repeated(uri, 'a', 70000)},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *of = cases[i].uri;
    _cleanup_manifest_ struct manifest m = {0};
    struct ome_err err = ERR_INIT;
    const struct plugin_call call = {.timeout_ms = HOSTILE_TIMEOUT_MS};
    const struct ome_model_ref ref = {.struct_size = sizeof(ref), .uri = of ? of : ""};
    if (manifest_list(s->storage, &call, &ref, &m, &err) == OME_OK && m.files.len)
      suite_fail(v, "an address with %s is accepted and lists %zu files", cases[i].name, m.files.len);
    else if (err.code != OME_OK)
      (void)is_said(&err, v, cases[i].name);
  }
}

static void check_missing(struct suite *s, struct suite_verdict *v) {
  _cleanup_manifest_ struct manifest m = {0};
  struct ome_err err = ERR_INIT;
  char digits[17];

  random_hex(digits, 16);
  _cleanup_free_ char *uri = str_printf("%s-absent-%s", s->opt->uri, digits);
  int32_t rc = suite_list(s, uri, NULL, 0, &m, &err);
  if (rc == OME_OK)
    suite_fail(v, "what is not there lists %zu files; OME_E_NOT_FOUND is expected", m.files.len);
  else if (rc == OME_E_DENIED || rc == OME_E_GATED) /* it may not be known to who may not see it */
    suite_note(v, "DENIED instead of NOT_FOUND: %s", err.msg);
  else if (rc != OME_E_NOT_FOUND)
    suite_fail(v, "what is not there is %s, not NotFound: %s", err_name(rc), err.msg);
  if (rc != OME_OK)
    (void)is_said(&err, v, "what is not there");
}

static void check_denied(struct suite *s, struct suite_verdict *v) {
  _cleanup_manifest_ struct manifest m = {0};
  struct ome_kv params[MAX_PARAMS];
  char *keys[MAX_PARAMS] = {NULL};
  struct ome_err err = ERR_INIT;
  size_t n = 0;

  if (s->opt->wrong.len == 0) {
    suite_skip(v, "no wrong credentials were given; --wrong KEY=VALUE");
    return;
  }
  for (; n < s->opt->wrong.len && n < MAX_PARAMS; n++) {
    const char *equals = strchr(s->opt->wrong.items[n], '=');
    keys[n] = equals ? str_copy(s->opt->wrong.items[n], (size_t)(equals - s->opt->wrong.items[n])) : NULL;
    params[n] = (struct ome_kv){keys[n] ? keys[n] : "", equals ? equals + 1 : ""};
  }
  int32_t rc = suite_list(s, s->opt->uri, params, n, &m, &err);
  if (rc != OME_E_DENIED && rc != OME_E_GATED)
    suite_fail(v, "wrong credentials are %s: %s", rc == OME_OK ? "accepted" : err_name(rc), err.msg);
  for (size_t i = 0; i < n; i++)
    if (strlen(params[i].value) > 3 && strstr(err.msg, params[i].value))
      suite_fail(v, "the message holds the value of %s", params[i].key);
  if (rc != OME_OK)
    (void)is_said(&err, v, "wrong credentials");
  for (size_t i = 0; i < n; i++)
    free(keys[i]);
}

/* ---- calls that are to end --------------------------------------------------------------------------------------- */

static int32_t ignore_bytes(UNUSED struct ome_byte_sink *sink, UNUSED const void *data, UNUSED uint64_t len) {
  return OME_OK;
}

static int32_t ignore_kv(UNUSED struct ome_kv_sink *sink, UNUSED const char *key, UNUSED const char *value) {
  return OME_OK;
}

/* Every method under CALL; each is back in time, with an error that is said where it fails. */
static void end_soon(struct suite *s, const struct plugin_call *call, struct suite_verdict *v) {
  const struct ome_model_ref ref = {.struct_size = sizeof(ref), .uri = s->opt->uri};
  const struct manifest_file *first = s->listed.files.len ? &s->listed.files.items[0] : NULL;
  struct ome_byte_sink bytes = {.struct_size = sizeof(bytes), .write = ignore_bytes};
  struct ome_kv_sink kv = {.struct_size = sizeof(kv), .kv = ignore_kv};
  static const char *const names[] = {"list", "headers", "read"};

  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    _cleanup_manifest_ struct manifest m = {0};
    struct ome_err err = ERR_INIT;
    int32_t rc = OME_OK;
    uint64_t began = mono_ms();
    if (i == 0) {
      rc = manifest_list(s->storage, call, &ref, &m, &err);
    } else if (first) {
      const struct ome_model_file file = manifest_view(first);
      rc = i == 1 ? plugin_storage_headers(s->storage, call, &ref, &file, &kv, &err)
                  : plugin_storage_read(s->storage, call, &ref, &file, 0, 1, &bytes, &err);
    }
    uint64_t took = mono_ms() - began;
    if (took > ANSWER_MS)
      suite_fail(v, "%s() took %u ms to notice", names[i], (unsigned)took);
    if (rc != OME_OK && rc != OME_E_UNSUPPORTED)
      (void)is_said(&err, v, names[i]);
  }
}

static bool always(UNUSED void *arg) {
  return true;
}

static void check_cancelled(struct suite *s, struct suite_verdict *v) {
  end_soon(s, &(struct plugin_call){.timeout_ms = LIST_TIMEOUT_MS, .cancelled = always}, v);
}

static void check_deadline(struct suite *s, struct suite_verdict *v) {
  end_soon(s, &(struct plugin_call){.timeout_ms = 1}, v);
}

struct lister {
  const struct suite *suite;
  char identity[65];
  struct ome_err err;
};

static void *list_once(void *arg) {
  struct lister *l = arg;
  _cleanup_manifest_ struct manifest m = {0};

  if (suite_list(l->suite, l->suite->opt->uri, NULL, 0, &m, &l->err) == OME_OK)
    manifest_identity(&m, l->identity);
  return NULL;
}

static void check_parallel(struct suite *s, struct suite_verdict *v) {
  struct lister listers[THREADS];
  pthread_t threads[THREADS];
  char identity[65];
  size_t n = 0;

  manifest_identity(&s->listed, identity);
  for (; n < THREADS; n++) {
    listers[n] = (struct lister){.suite = s};
    if (pthread_create(&threads[n], NULL, list_once, &listers[n]) != 0)
      break;
  }
  for (size_t i = 0; i < n; i++) {
    (void)pthread_join(threads[i], NULL);
    if (listers[i].err.code != OME_OK)
      suite_fail(v, "beside %d others: %s", THREADS - 1, listers[i].err.msg);
    else if (!streq(listers[i].identity, identity))
      suite_fail(v, "%d threads do not get the same list", THREADS);
  }
}

/* ---- the suite --------------------------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  void (*run)(struct suite *s, struct suite_verdict *v);
} checks[] = {
    {"list", check_list},
    {"stable", check_stable},
    {"complete", check_complete},
    {"bytes", suite_check_bytes},
    {"ranges", suite_check_ranges},
    {"hostile", check_hostile},
    {"missing", check_missing},
    {"denied", check_denied},
    {"cancelled", check_cancelled},
    {"deadline", check_deadline},
    {"parallel", check_parallel},
    {"upload", suite_check_upload},
    {"stopped-upload", suite_check_stopped_upload},
};

/* "SHA256  PATH" or "SHA256 *PATH" a line. */
static int32_t read_expected(struct suite *s, struct ome_err *err) {
  _cleanup_free_ char *text = NULL;
  char *rest = NULL;
  size_t len;
  int32_t rc = s->opt->expect ? file_read(s->opt->expect, MAX_EXPECT, &text, &len, err) : OME_OK;

  for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; rc == OME_OK && line;
       line = strtok_r(NULL, "\n", &rest)) {
    if (strlen(line) < 67 || strspn(line, "0123456789abcdefABCDEF") != 64)
      return fail(err, OME_E_INVALID, "plugin: %s: \"%.80s\" is not \"SHA256  PATH\"", s->opt->expect, line);
    const char *path = line + 66;
    struct expected e = {.path = strdup(has_prefix(path, "./") ? path + 2 : path)};
    memcpy(e.sha256, line, 64);
    if (!e.path || !VEC_PUSH(&s->expected, e)) {
      free(e.path);
      return fail_memory(err);
    }
  }
  return rc;
}

/* Writes a configuration of the plugin alone; *PATH is new. */
static int32_t write_conf(const struct suite *s, char **path, struct ome_err *err) {
  _cleanup_json_ struct json_object *conf = json_object_new_object();
  struct json_object *one = json_add_object(json_ensure_array(conf, "plugins"));

  (void)json_set_bool(conf, "all", false);
  (void)json_set_str(one, "file", s->opt->file);
  (void)json_set_bool(one, "required", true);
  _cleanup_free_ char *text = json_text(conf);
  *path = path_join(s->scratch, "plugins.conf");
  return text && *path ? file_write(*path, text, strlen(text), 0600, err) : fail_memory(err);
}

static int32_t open_backends(struct suite *s, struct ome_err *err) {
  _cleanup_free_ char *path = NULL;
  int32_t rc = s->opt->conf ? OME_OK : write_conf(s, &path, err);

  return rc == OME_OK ? backends_open(&s->backends, s->opt->conf ? s->opt->conf : path, err) : rc;
}

/* Whether the address is this plugin's, and not that of another one which is loaded too. */
static int32_t find_plugin(struct suite *s, struct ome_err *err) {
  int32_t rc = plugins_storage_for(s->backends.plugins, s->opt->uri, &s->storage, err);
  _cleanup_json_ struct json_object *all = rc == OME_OK ? plugins_list(s->backends.plugins) : NULL;

  for (size_t i = 0; i < json_len(all); i++) {
    struct json_object *row = json_index(all, i);
    _cleanup_free_ char *file = realpath(json_str(row, "file", ""), NULL);
    if (file && streq(file, s->opt->file) &&
        json_find(json_at(row, "factories"), "name", plugin_instance_name(s->storage)))
      return OME_OK;
  }
  return rc == OME_OK ? fail(err, OME_E_INVALID, "plugin: %s: storage \"%s\" serves it, which is not of %s",
                             s->opt->uri, plugin_instance_name(s->storage), s->opt->file)
                      : rc;
}

static int run_checks(struct suite *s, conform_report_fn report, void *ctx) {
  _cleanup_free_ char *subject = str_printf(OME_KIND_STORAGE " %s", plugin_instance_name(s->storage));
  int failed = 0;

  for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
    struct suite_verdict v = {.outcome = CONFORM_PASS};
    checks[i].run(s, &v);
    failed += v.outcome == CONFORM_FAIL;
    report(ctx, &(struct conform_result){checks[i].name, subject ? subject : "", v.outcome, v.detail});
    if (i == 0 && failed) /* nothing is known of what is there */
      break;
  }
  return failed;
}

int storage_suite_run(const struct storage_suite *opt, conform_report_fn report, void *ctx, struct ome_err *err) {
  struct suite s = {.opt = opt, .scratch = "/tmp/ome-storage-XXXXXX"};
  struct ome_err ignored = ERR_INIT;
  int failed = -1;

  if (!mkdtemp(s.scratch))
    return fail_errno(err, "make", s.scratch), -1;
  if (read_expected(&s, err) == OME_OK && open_backends(&s, err) == OME_OK && find_plugin(&s, err) == OME_OK)
    failed = run_checks(&s, report, ctx);
  manifest_fini(&s.listed);
  manifest_fini(&s.sample);
  for (size_t i = 0; i < s.expected.len; i++)
    free(s.expected.items[i].path);
  VEC_FREE(&s.expected);
  backends_close(&s.backends);
  (void)tree_remove(s.scratch, &ignored);
  return failed;
}
