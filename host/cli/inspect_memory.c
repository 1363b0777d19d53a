#include "cli/inspect_memory.h"

#include "base/buf.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "model/fit.h"
#include "os/file.h"
#include "select/facts.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* ---- the accelerator --------------------------------------------------------------------------------------------- */

/* Where the classes are that come with ome: $OME_MANIFESTS, what is installed beside this program, the source tree it
 * was built in; new, NULL: nowhere. */
static char *classes_folder(void) {
  const char *given = getenv("OME_MANIFESTS");
  static const char *const beside[] = {"../share/ome/accelerators", "../../manifests/accelerators"};
  char exe[4096];

  if (given && *given)
    return path_join(given, "accelerators");
  ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
  exe[n > 0 ? n : 0] = '\0';
  char *slash = strrchr(exe, '/');
  if (!slash)
    return NULL;
  *slash = '\0';
  for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
    _cleanup_free_ char *folder = path_join(exe, beside[i]);
    if (folder && file_exists(folder))
      return TAKE_PTR(folder);
  }
  return NULL;
}

/* Fails with the names that there are. */
static int32_t no_such_class(const char *name, const char *folder, struct ome_err *err) {
  _cleanup_buf_ struct buf names = BUF_INIT;
  struct dirent **entries = NULL;
  int n = folder ? scandir(folder, &entries, NULL, alphasort) : 0;

  for (int i = 0; i < n; i++) {
    if (has_suffix(entries[i]->d_name, ".yaml"))
      buf_addf(&names, "%s%.*s", names.len ? ", " : "", (int)strlen(entries[i]->d_name) - 5, entries[i]->d_name);
    free(entries[i]);
  }
  free(entries);
  return fail(err, OME_E_NOT_FOUND, "accelerator: %.100s: is neither a file nor one of %.300s", name, buf_str(&names));
}

/* The file that NAME means, new. */
static int32_t find_class(const char *name, char **out, struct ome_err *err) {
  _cleanup_free_ char *folder = classes_folder();
  _cleanup_free_ char *lower = str_lower(name);
  struct stat st;

  if (strchr(name, '/') || (stat(name, &st) == 0 && S_ISREG(st.st_mode))) {
    *out = strdup(name);
    return *out ? OME_OK : fail_memory(err);
  }
  _cleanup_free_ char *path = folder && lower ? str_printf("%s/%s.yaml", folder, lower) : NULL;
  if (!path || !file_exists(path))
    return no_such_class(name, folder, err);
  *out = TAKE_PTR(path);
  return OME_OK;
}

static int32_t read_class(const char *name, struct json_object **docs, struct json_object **out, struct ome_err *err) {
  _cleanup_free_ char *path = NULL;
  int32_t rc = find_class(name, &path, err);

  if (rc != OME_OK)
    return rc;
  const struct cli_list list = {.items = {path}, .len = 1};
  rc = cli_load_manifests(&list, docs, err);
  if (rc != OME_OK)
    return rc;
  *out = json_find(*docs, "kind", "AcceleratorClass");
  return *out ? OME_OK : fail(err, OME_E_INVALID, "accelerator: %s: holds no AcceleratorClass", path);
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

/* "32k" is 32768 tokens, as models count. */
static bool read_tokens(const char *text, uint64_t *out) {
  static const struct {
    char letter;
    uint64_t unit;
  } units[] = {{'k', 1024}, {'m', 1048576}};
  _cleanup_free_ char *digits = strdup(text);
  size_t n = digits ? strlen(digits) : 0;
  uint64_t unit = 1;

  for (size_t i = 0; n && unit == 1 && i < ARRAY_LEN(units); i++)
    if (tolower((unsigned char)digits[n - 1]) == units[i].letter) {
      unit = units[i].unit;
      digits[n - 1] = '\0';
    }
  return digits && str_to_u64(digits, out) && *out > 0 && *out <= ((uint64_t)1 << 40) && (*out *= unit) > 0;
}

/* The machine's own memory, where the class has none: that of a CPU differs from machine to machine. */
static uint64_t machine_bytes(void) {
  long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

  return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

int32_t inspect_memory(const struct inspect_memory *m, const struct model_facts *f, struct json_object *doc,
                       struct ome_err *err) {
  _cleanup_json_ struct json_object *docs = NULL;
  struct json_object *class = NULL;
  struct model_fit_request req = {.concurrency = m->concurrency};
  struct ome_accelerator_facts a;
  struct model_fit fit;

  if (m->context && !read_tokens(m->context, &req.context))
    return fail(err, OME_E_INVALID, "--context: %.40s: is no number of tokens, as 8192, 32k or 1m", m->context);
  int32_t rc = read_class(m->accelerator, &docs, &class, err);
  if (rc != OME_OK)
    return rc;
  select_accelerator_facts(class, &a);
  req.device_bytes = a.memory_bytes;
  req.host_memory = streq(a.family, "cpu");
  if (req.host_memory && req.device_bytes == 0)
    req.device_bytes = machine_bytes();
  rc = model_fit(f, &req, &fit, err);
  if (rc != OME_OK)
    return rc;
  struct json_object *memory = model_fit_json(&fit, &req);
  (void)json_set_str(memory, "accelerator", a.name);
  return json_set(doc, "memory", memory) ? OME_OK : fail_memory(err);
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* The number of bytes at KEY as people write it, a cell of T. */
static const char *bytes_at(struct table *t, struct json_object *o, const char *key) {
  char text[32];

  format_bytes((uint64_t)json_i64(o, key, 0), text);
  return table_own(t, strdup(text));
}

static const char *number_at(struct table *t, struct json_object *o, const char *key) {
  return table_own(t, str_printf("%" PRId64, json_i64(o, key, 0)));
}

void inspect_memory_print(struct json_object *memory) {
  static const char *const head[] = {"DEVICES", "WEIGHTS", "KV CACHE", "ACTIVATIONS", "OF", "SEQUENCES", "FITS", "WHY"};
  struct json_object *plans = json_get(memory, "plans");
  struct table t = {0};

  (void)printf("\n%s, %s a device; %" PRId64 " sequences of %" PRId64 " tokens\n\n",
               json_str(memory, "accelerator", ""), bytes_at(&t, memory, "deviceBytes"),
               json_i64(memory, "concurrency", 0), json_i64(memory, "contextLength", 0));
  table_add(&t, head, ARRAY_LEN(head));
  for (size_t i = 0; i < json_len(plans); i++) {
    struct json_object *p = json_index(plans, i);
    const char *const row[] = {number_at(&t, p, "devices"),
                               bytes_at(&t, p, "weightBytes"),
                               bytes_at(&t, p, "kvBytes"),
                               bytes_at(&t, p, "activationBytes"),
                               bytes_at(&t, p, "usableBytes"),
                               number_at(&t, p, "maxConcurrency"),
                               json_flag(p, "fits", false) ? "yes" : "no",
                               json_str(p, "reason", "")};
    table_add(&t, row, ARRAY_LEN(row));
  }
  table_print(&t);
}
