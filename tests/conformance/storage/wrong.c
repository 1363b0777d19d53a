/* A storage plugin in memory that breaks one promise, for the storage suite to find; -DWRONG_<NAME> chooses, NONE is
 * right.  wrong://model holds three files; wrong://written takes what is uploaded. */
#include <ome-sdk/sdk.h>
#include <ome/storage.h>

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_WRITTEN 16

static struct {
  char path[256];
  char sha256[65];
  char *data;
  uint64_t size;
} written[MAX_WRITTEN];
static size_t nwritten;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int32_t match(void *self, const char *uri) {
  (void)self;
  return strncmp(uri, "wrong://", 8) == 0 ? 100 : 0;
}

static const char *const *schemes(void *self) {
  static const char *const known[] = {"wrong://", NULL};

  (void)self;
  return known;
}

/* A file of the model: its bytes are its name's first letter. */
static const struct {
  const char *path;
  uint64_t size;
  const char *sha256;
} files[] = {{"a.bin", 100, "2816597888e4a0d3a36b82b83316ab32680eb8f00f8cd3b904d681246d285a0e"},
             {"b.bin", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
             {"deep/c.bin", 1, "2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6"}};

static char letter(const char *path) {
  return strcmp(path, "deep/c.bin") == 0 ? 'c' : path[0];
}

static int32_t list_model(struct ome_file_sink *out) {
  static int calls;
  size_t n = sizeof(files) / sizeof(files[0]);
  int32_t rc = out->revision ? out->revision(out, "one") : OME_OK;

#ifdef WRONG_INCOMPLETE
  n--;
#endif
  calls++;
  for (size_t i = 0; rc == OME_OK && i < n; i++) {
    struct ome_model_file f = {.struct_size = sizeof(f),
                               .digest_type = OME_DIGEST_SHA256,
                               .path = files[i].path,
                               .size = files[i].size,
                               .digest = files[i].sha256};
#ifdef WRONG_UNSTABLE
    f.size += i == 0 ? (uint64_t)calls : 0;
#endif
#ifdef WRONG_SIZE
    f.size += i == 0;
#endif
#ifdef WRONG_DIGEST
    f.digest = files[0].sha256;
#endif
    rc = out->file(out, &f);
  }
  return rc;
}

static int32_t list_written(struct ome_file_sink *out) {
  int32_t rc = OME_OK;

  (void)pthread_mutex_lock(&lock);
  for (size_t i = 0; rc == OME_OK && i < nwritten; i++) {
    const struct ome_model_file f = {.struct_size = sizeof(f),
                                     .digest_type = OME_DIGEST_SHA256,
                                     .path = written[i].path,
                                     .size = written[i].size,
                                     .digest = written[i].sha256};
    rc = out->file(out, &f);
  }
  (void)pthread_mutex_unlock(&lock);
  return rc;
}

static int32_t list(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                    struct ome_err *err) {
  const char *password = ome_kv_get(ref->params, ref->nparams, "password", NULL);

  (void)self, (void)password;
  if (ome_check_cancelled(call, err) != OME_OK) {
#ifdef WRONG_DEAF
    (void)usleep(1500000);
#endif
    return err->code;
  }
#ifdef WRONG_SECRET
  if (password)
    return ome_fail(err, OME_E_DENIED, "wrong: the password %s is not valid", password);
#elif !defined(WRONG_OPEN)
  if (password)
    return ome_fail(err, OME_E_DENIED, "wrong: the password is not valid; check the Secret");
#endif
  int32_t rc = OME_OK;
#ifdef WRONG_HOSTILE
  if (strstr(ref->uri, ".."))
    rc = list_model(out);
  else
#endif
#ifdef WRONG_MISSING
      if (strncmp(ref->uri, "wrong://model-absent", 20) == 0)
    return ome_fail(err, OME_E_UNAVAILABLE, "wrong: try again");
#endif
  if (strcmp(ref->uri, "wrong://model") == 0)
    rc = list_model(out);
  else if (strcmp(ref->uri, "wrong://written") == 0)
    rc = list_written(out);
  else
    return ome_fail(err, OME_E_NOT_FOUND, "wrong: %.100s: there is no such model; check the name", ref->uri);
  return rc == OME_OK ? rc : ome_sink_failed(err, rc);
}

static int32_t read_model(const struct ome_model_file *file, uint64_t offset, uint64_t len, struct ome_byte_sink *out) {
  char data[128];

  memset(data, letter(file->path), sizeof(data));
#ifdef WRONG_RANGE
  if (offset > 0)
    data[0] ^= 1;
#endif
  if (offset >= file->size)
    return OME_OK;
  return out->write(out, data, len < file->size - offset ? len : file->size - offset);
}

static int32_t read_written(const struct ome_model_file *file, uint64_t offset, uint64_t len,
                            struct ome_byte_sink *out) {
  int32_t rc = OME_OK;

  (void)pthread_mutex_lock(&lock);
  for (size_t i = 0; i < nwritten; i++)
    if (strcmp(written[i].path, file->path) == 0 && offset < written[i].size)
      rc = out->write(out, written[i].data + offset, len < written[i].size - offset ? len : written[i].size - offset);
  (void)pthread_mutex_unlock(&lock);
  return rc;
}

static int32_t read_range(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                          const struct ome_model_file *file, uint64_t offset, uint64_t len, struct ome_byte_sink *out,
                          struct ome_err *err) {
  (void)self;
  if (ome_check_cancelled(call, err) != OME_OK)
    return err->code;
  int32_t rc = strcmp(ref->uri, "wrong://written") == 0 ? read_written(file, offset, len, out)
                                                        : read_model(file, offset, len, out);
  return rc == OME_OK ? rc : ome_sink_failed(err, rc);
}

static void keep(const struct ome_upload_file *file, char *data) {
  size_t i = 0;

  (void)pthread_mutex_lock(&lock);
  while (i < nwritten && strcmp(written[i].path, file->path) != 0)
    i++;
  if (i < MAX_WRITTEN) {
    free(written[i].data);
    (void)snprintf(written[i].path, sizeof(written[i].path), "%s", file->path);
    (void)snprintf(written[i].sha256, sizeof(written[i].sha256), "%s", file->sha256);
    written[i].data = data;
    written[i].size = file->size;
    nwritten += i == nwritten;
  }
  (void)pthread_mutex_unlock(&lock);
}

static int32_t upload(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                      const struct ome_upload_file *file, struct ome_uploader *to, struct ome_err *err) {
  char *data = calloc(1, (size_t)file->size + 1);
  int32_t rc = OME_OK;

  (void)self, (void)ref, (void)call;
  if (!data)
    return ome_fail(err, OME_E_NO_MEMORY, "wrong: out of memory");
#ifndef WRONG_LOSSY
  rc = to->read(to, 0, file->size, data, err);
#else
  (void)to;
#endif
#ifndef WRONG_PARTIAL
  if (rc == OME_OK)
    rc = ome_check_cancelled(call, err);
#endif
  if (rc != OME_OK) {
#ifdef WRONG_PARTIAL
    keep(file, data);
    return rc;
#else
    free(data);
    return rc;
#endif
  }
  keep(file, data);
  return OME_OK;
}

static const struct ome_storage_ops ops = {
    .struct_size = sizeof(ops), .match = match, .list = list, .read = read_range, .upload = upload, .schemes = schemes};
static const struct ome_factory factory = {.struct_size = sizeof(factory),
                                           .threads = OME_THREADS_PARALLEL,
                                           .kind = OME_KIND_STORAGE,
                                           .name = "wrong",
                                           .ops = &ops};
static const struct ome_factory *const factories[] = {&factory, NULL};
static const struct ome_plugin plugin = {.struct_size = sizeof(plugin),
                                         .abi_epoch = OME_ABI_EPOCH,
                                         .abi_minor = OME_ABI_MINOR,
                                         .name = "storage-wrong",
                                         .version = "1",
                                         .license = "Apache-2.0",
                                         .summary = "Breaks one promise",
                                         .factories = factories};

const struct ome_plugin *ome_plugin_v1(void) {
  return &plugin;
}
