/* Whether the bytes are what the list says, whichever way they are asked for, and whether what is written is read
 * again. */
#include "base/str.h"
#include "cli/storage_suite_internal.h"
#include "net/http_client.h"
#include "os/file.h"
#include "transfer/headers.h"
#include "transfer/transfer.h"
#include "transfer/upload.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SAMPLE_FILES 200u
#define RANGE_FILES 16u
#define RANGE_MAX ((uint64_t)256 << 10)

/* Fetches M below SCRATCH/NAME with the host's engine, which compares sizes and digests. */
static int32_t fetch(struct suite *s, const char *uri, struct manifest *m, const char *name, struct ome_err *err) {
  _cleanup_free_ char *dir = path_join(s->scratch, name);
  const struct ome_model_ref ref = {.struct_size = sizeof(ref), .uri = uri};
  const struct transfer_job job = {.manifest = m, .dir = dir, .plugin = s->storage, .ref = &ref, .attempts = 3};

  return dir ? transfer_run(&job, err) : fail_memory(err);
}

/* At most SAMPLE_FILES of what is listed, from all over it. */
static int32_t take_sample(struct suite *s, struct ome_err *err) {
  int32_t rc = suite_list(s, s->opt->uri, NULL, 0, &s->sample, err);
  size_t step = s->sample.files.len / SAMPLE_FILES + 1;

  for (size_t i = s->sample.files.len; rc == OME_OK && i-- > 0;)
    if (i % step != 0)
      manifest_remove(&s->sample, i);
  return rc;
}

void suite_check_bytes(struct suite *s, struct suite_verdict *v) {
  struct ome_err err = ERR_INIT;
  char size[32];
  int32_t rc = take_sample(s, &err);

  if (rc == OME_OK)
    rc = fetch(s, s->opt->uri, &s->sample, "model", &err);
  if (rc != OME_OK) {
    suite_fail(v, "%s", err.msg);
    return;
  }
  s->fetched = true;
  for (size_t i = 0; i < s->sample.files.len; i++) {
    const struct manifest_file *f = &s->sample.files.items[i];
    const struct expected *e = suite_expected(s, f->path);
    if (e && strcasecmp(e->sha256, f->sha256) != 0)
      suite_fail(v, "%s: other bytes come than are there", f->path);
  }
  format_bytes(s->sample.total_bytes, size);
  suite_note(v, "%zu of %zu files, %s%s", s->sample.files.len, s->listed.files.len, size,
             s->expected.len ? ", compared with what is expected" : "");
}

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

struct collected {
  struct buf bytes;
  struct request_headers headers;
  struct ome_err err;
};

static int32_t on_bytes(struct ome_byte_sink *sink, const void *data, uint64_t len) {
  struct collected *c = sink->ctx;

  buf_add(&c->bytes, data, (size_t)len);
  return buf_ok(&c->bytes) ? OME_OK : OME_E_INVALID;
}

static int32_t on_header(struct ome_kv_sink *sink, const char *key, const char *value) {
  struct collected *c = sink->ctx;

  return request_headers_add(&c->headers, key, value, &c->err);
}

static int32_t range_over_http(struct suite *s, struct http_client *client, const struct ome_model_file *file,
                               uint64_t at, uint64_t len, struct collected *c, struct ome_err *err) {
  const struct ome_model_ref ref = {.struct_size = sizeof(ref), .uri = s->opt->uri};
  const struct plugin_call call = {.timeout_ms = 60000};
  struct ome_kv_sink sink = {.struct_size = sizeof(sink), .ctx = c, .kv = on_header};
  _cleanup_http_response_ struct http_response answer = {0};
  _cleanup_free_ char *range = str_printf("%" PRIu64 "-%" PRIu64, at, at + len - 1);
  _cleanup_free_ char *value = range ? str_printf("bytes=%s", range) : NULL;
  int32_t rc = plugin_storage_headers(s->storage, &call, &ref, file, &sink, err);

  if (rc == OME_E_UNSUPPORTED) /* nothing is needed */
    rc = OME_OK;
  if (rc == OME_OK)
    rc = request_headers_add(&c->headers, "Range", value, err);
  const struct http_request req = {.url = c->headers.url ? c->headers.url : file->url,
                                   .headers = (const char *const *)c->headers.lines,
                                   .sigv4 = c->headers.sigv4,
                                   .credentials = c->headers.credentials,
                                   .timeout_ms = 60000,
                                   .max_redirects = 10,
                                   .max_body = 2 * RANGE_MAX};
  if (rc == OME_OK)
    rc = http_do(client, &req, NULL, NULL, &answer, err);
  if (rc == OME_OK && answer.status != 206 && !(answer.status == 200 && at == 0 && len == file->size))
    rc = fail(err, OME_E_INVALID, "bytes %s are asked for and the answer is %d", range, answer.status);
  if (rc == OME_OK)
    buf_add(&c->bytes, answer.body.data, answer.body.len);
  return rc;
}

/* One range, compared with the file that was fetched whole. */
static int32_t compare_range(struct suite *s, struct http_client *client, const struct manifest_file *f, int fd,
                             uint64_t at, uint64_t len, struct ome_err *err) {
  const struct ome_model_ref ref = {.struct_size = sizeof(ref), .uri = s->opt->uri};
  const struct plugin_call call = {.timeout_ms = 60000};
  const struct ome_model_file file = manifest_view(f);
  struct collected c = {.bytes = {.max = 2 * RANGE_MAX}};
  struct ome_byte_sink sink = {.struct_size = sizeof(sink), .ctx = &c, .write = on_bytes};
  _cleanup_free_ char *right = malloc(len);
  int32_t rc = right && pread(fd, right, len, (off_t)at) == (ssize_t)len ? OME_OK : fail_errno(err, "read", f->path);

  if (rc == OME_OK)
    rc = f->url ? range_over_http(s, client, &file, at, len, &c, err)
                : plugin_storage_read(s->storage, &call, &ref, &file, at, len, &sink, err);
  if (rc == OME_OK && (c.bytes.len != len || memcmp(c.bytes.data, right, len) != 0))
    rc = fail(err, OME_E_CORRUPT, "%" PRIu64 " bytes at %" PRIu64 " are not those of the whole file", len, at);
  buf_fini(&c.bytes);
  request_headers_fini(&c.headers);
  return rc;
}

/* The first byte, the last, the middle, and somewhere. */
static int32_t compare_ranges(struct suite *s, struct http_client *client, const struct manifest_file *f,
                              struct ome_err *err) {
  _cleanup_free_ char *full = str_printf("%s/model/%s", s->scratch, f->path);
  _cleanup_close_ int fd = full ? open(full, O_RDONLY | O_CLOEXEC) : -1;
  uint64_t random;

  random_bytes(&random, sizeof(random));
  random %= f->size;
  const uint64_t starts[] = {0, f->size - 1, f->size / 2, random};
  const uint64_t lens[] = {1, 1, RANGE_MAX, 1000};
  if (fd < 0)
    return fail_errno(err, "open", f->path);
  for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
    uint64_t left = f->size - starts[i];
    int32_t rc = compare_range(s, client, f, fd, starts[i], lens[i] < left ? lens[i] : left, err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

void suite_check_ranges(struct suite *s, struct suite_verdict *v) {
  _cleanup_(http_client_freep) struct http_client *client = NULL;
  struct ome_err err = ERR_INIT;
  size_t step = s->sample.files.len / RANGE_FILES + 1, n = 0;

  if (!s->fetched) {
    suite_skip(v, "the files could not be fetched whole");
    return;
  }
  if (http_client_new(NULL, &client, &err) != OME_OK)
    suite_fail(v, "%s", err.msg);
  for (size_t i = 0; v->outcome != CONFORM_FAIL && i < s->sample.files.len; i += step) {
    const struct manifest_file *f = &s->sample.files.items[i];
    if (f->size == 0)
      continue;
    if (compare_ranges(s, client, f, &err) != OME_OK)
      suite_fail(v, "%s: %s", f->path, err.msg);
    n++;
  }
  if (n == 0)
    suite_skip(v, "no file has a byte");
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Of several parts for most backends; empty; small; with a name that has to be encoded. */
static const struct {
  const char *path;
  size_t size;
} samples[] = {{"conform/empty", 0},
               {"conform/one byte & more.bin", 1},
               {"conform/\xc3\xa9t\xc3\xa9/config.json", 1000},
               {"conform/parts.bin", ((size_t)17 << 20) + 3}};

static const struct ome_kv with_digests[] = {{"digests", "sha256"}};

/* Fills F, the caller's to free (its digests come when it is sent), with SIZE random bytes in a file of this machine.
 */
static int32_t make_sample(const struct suite *s, size_t index, const char *path, size_t size, struct upload_file *f,
                           struct ome_err *err) {
  _cleanup_free_ char *bytes = malloc(size + 1);

  *f = (struct upload_file){.path = strdup(path), .from = str_printf("%s/sample%zu", s->scratch, index), .size = size};
  if (!bytes || !f->path || !f->from)
    return fail_memory(err);
  random_bytes(bytes, size);
  return file_write(f->from, bytes, size, 0600, err);
}

static void free_samples(struct upload_file *files, size_t n) {
  for (size_t i = 0; i < n; i++) {
    free(files[i].path);
    free(files[i].from);
  }
}

static int32_t send(const struct suite *s, struct upload_file *files, size_t n, struct ome_err *err) {
  const struct ome_model_ref ref = {.struct_size = sizeof(ref), .uri = s->opt->upload};
  const struct upload_job job = {.files = files, .nfiles = n, .plugin = s->storage, .ref = &ref, .attempts = 3};

  return upload_run(&job, err);
}

/* What was sent is listed with its size, and comes back as it was. */
static int32_t read_back(struct suite *s, const struct upload_file *files, size_t n, const char *name,
                         struct ome_err *err) {
  _cleanup_manifest_ struct manifest m = {0};
  int32_t rc = suite_list(s, s->opt->upload, with_digests, 1, &m, err);

  for (size_t i = m.files.len; rc == OME_OK && i-- > 0;) /* what was there before is not of interest */
    if (!has_prefix(m.files.items[i].path, "conform/"))
      manifest_remove(&m, i);
  if (rc == OME_OK)
    rc = fetch(s, s->opt->upload, &m, name, err);
  for (size_t i = 0; rc == OME_OK && i < n; i++) {
    const struct manifest_file *f = manifest_find(&m, files[i].path);
    if (!f)
      rc = fail(err, OME_E_NOT_FOUND, "%s was written and is not listed", files[i].path);
    else if (f->size != files[i].size || !streq(f->sha256, files[i].sha256))
      rc = fail(err, OME_E_CORRUPT, "%s comes back with other bytes than were written", files[i].path);
  }
  return rc;
}

void suite_check_upload(struct suite *s, struct suite_verdict *v) {
  struct upload_file files[ARRAY_LEN(samples)] = {{0}};
  struct ome_err err = ERR_INIT;
  int32_t rc = OME_OK;

  if (!s->opt->upload) {
    suite_skip(v, "no address that may be written to was given; --upload URI");
    return;
  }
  for (size_t i = 0; rc == OME_OK && i < ARRAY_LEN(samples); i++)
    rc = make_sample(s, i, samples[i].path, samples[i].size, &files[i], &err);
  if (rc == OME_OK)
    rc = send(s, files, ARRAY_LEN(files), &err);
  if (rc == OME_E_UNSUPPORTED) {
    suite_skip(v, "it has no upload()");
    free_samples(files, ARRAY_LEN(files));
    return;
  }
  if (rc == OME_OK)
    rc = read_back(s, files, ARRAY_LEN(files), "back", &err);
  if (rc != OME_OK)
    suite_fail(v, "%s", err.msg);
  /* Once more, with other content under a name that is there. */
  free_samples(&files[1], 1);
  rc = make_sample(s, 1, samples[1].path, 77, &files[1], &err);
  if (rc == OME_OK)
    rc = send(s, &files[1], 1, &err);
  if (rc == OME_OK)
    rc = read_back(s, files, ARRAY_LEN(files), "again", &err);
  if (rc != OME_OK)
    suite_fail(v, "written over: %s", err.msg);
  free_samples(files, ARRAY_LEN(files));
}

static bool is_set(void *arg) {
  const atomic_bool *flag = arg;

  return atomic_load(flag);
}

/* The file is hashed and about to be sent: from now on the upload is cancelled. */
static bool set_flag(void *arg, UNUSED const struct upload_file *f) {
  atomic_bool *flag = arg;

  atomic_store(flag, true);
  return false;
}

static int32_t send_stopped(const struct suite *s, struct upload_file *f, struct ome_err *err) {
  atomic_bool stop = false;
  const struct ome_model_ref ref = {.struct_size = sizeof(ref), .uri = s->opt->upload};
  const struct upload_job job = {.files = f,
                                 .nfiles = 1,
                                 .plugin = s->storage,
                                 .ref = &ref,
                                 .is_there = set_flag,
                                 .cancelled = is_set,
                                 .arg = &stop};

  return upload_run(&job, err);
}

/* Whole or not at all. */
void suite_check_stopped_upload(struct suite *s, struct suite_verdict *v) {
  _cleanup_manifest_ struct manifest m = {0};
  struct upload_file f = {0};
  struct ome_err err = ERR_INIT;

  if (!s->opt->upload) {
    suite_skip(v, "no address that may be written to was given; --upload URI");
    return;
  }
  int32_t rc = make_sample(s, 0, "conform/stopped.bin", (size_t)1 << 20, &f, &err);
  if (rc == OME_OK)
    rc = send_stopped(s, &f, &err);
  if (rc == OME_E_UNSUPPORTED)
    suite_skip(v, "it has no upload()");
  else if (rc == OME_OK)
    suite_fail(v, "upload() goes on after it was cancelled");
  err_clear(&err);
  if (rc != OME_E_UNSUPPORTED && suite_list(s, s->opt->upload, NULL, 0, &m, &err) != OME_OK)
    suite_fail(v, "%s", err.msg);
  if (manifest_find(&m, "conform/stopped.bin"))
    suite_fail(v, "a file whose upload was cancelled is listed");
  free_samples(&f, 1);
}
