/* ome pull: one model from wherever a storage plugin reaches, into a folder, verified. */
#include "cli/cli.h"
#include "cli/transfer_report.h"
#include "os/file.h"
#include "plugin/plugin.h"
#include "transfer/digest.h"
#include "transfer/http_service.h"
#include "transfer/transfer.h"

#include "base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Where bytes wait until they are verified: in the target, so that moving them is one rename. */
#define STAGING ".ome-pull"

struct pull {
  const char *uri, *dir, *revision, *plugins, *format;
  uint64_t connections;
  struct transfer_report report;
};

static bool stopped(UNUSED void *arg) {
  return cli_stopping();
}

/* ---- what is there already --------------------------------------------------------------------------------------- */

/* Whether the target holds the file's content; one without a digest is fetched again. */
static bool is_there(const struct pull *p, const struct manifest_file *f) {
  _cleanup_free_ char *full = path_join(p->dir, f->path);
  _cleanup_close_ int fd = full ? open(full, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
  struct ome_err err = ERR_INIT;
  struct stat st;
  char sha256[65], wanted[65];

  return f->digest && fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->size &&
         digest_file(fd, f, stopped, NULL, sha256, wanted, NULL, &err) == OME_OK &&
         digest_compare(f, wanted, &err) == OME_OK;
}

static void leave_out_present(const struct pull *p, struct manifest *m) {
  for (size_t i = m->files.len; i-- > 0;) {
    struct manifest_file *f = &m->files.items[i];
    if (!is_there(p, f))
      continue;
    m->total_bytes -= f->size;
    manifest_file_fini(f);
    VEC_REMOVE(&m->files, i);
  }
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

static int32_t publish_file(const struct pull *p, const char *staging, const char *path, struct ome_err *err) {
  _cleanup_free_ char *from = path_join(staging, path);
  _cleanup_free_ char *to = path_join(p->dir, path);
  _cleanup_free_ char *folder = to ? str_copy(to, (size_t)(strrchr(to, '/') - to)) : NULL;

  if (!from || !folder)
    return fail_memory(err);
  int32_t rc = dir_make(folder, 0755, err);
  if (rc != OME_OK)
    return rc;
  if (rename(from, to) != 0)
    return fail_errno(err, "publish", to);
  return dir_sync(folder, err);
}

static int32_t publish(const struct pull *p, const struct manifest *m, const char *staging, struct ome_err *err) {
  _cleanup_free_ char *ledger = str_printf("%s.ledger", staging);
  int32_t rc = ledger ? OME_OK : fail_memory(err);

  for (size_t i = 0; rc == OME_OK && i < m->files.len; i++)
    rc = publish_file(p, staging, m->files.items[i].path, err);
  if (rc == OME_OK)
    rc = tree_remove(staging, err);
  if (rc == OME_OK && unlink(ledger) != 0 && errno != ENOENT)
    rc = fail_errno(err, "remove", ledger);
  return rc;
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

static int32_t fetch(const struct pull *p, struct plugin_instance *storage, struct transfer_event *end,
                     struct ome_err *err) {
  _cleanup_manifest_ struct manifest m = {0};
  _cleanup_free_ char *staging = path_join(p->dir, STAGING);
  const struct ome_model_ref ref = {.struct_size = sizeof(ref), .uri = p->uri, .revision = p->revision};
  const struct plugin_call call = {.timeout_ms = 300000, .cancelled = stopped};
  struct transfer_report report = p->report;
  int32_t rc = staging ? dir_make(p->dir, 0755, err) : fail_memory(err);

  if (rc == OME_OK)
    rc = manifest_list(storage, &call, &ref, &m, err);
  if (rc != OME_OK)
    return rc;
  *end = (struct transfer_event){.bytes = m.total_bytes,
                                 .total_bytes = m.total_bytes,
                                 .files = (uint32_t)m.files.len,
                                 .total_files = (uint32_t)m.files.len,
                                 .file = p->dir};
  leave_out_present(p, &m);
  const struct transfer_job job = {.manifest = &m,
                                   .dir = staging,
                                   .plugin = storage,
                                   .ref = &ref,
                                   .connections = (uint32_t)p->connections,
                                   .event = transfer_report_event,
                                   .cancelled = stopped,
                                   .arg = &report};
  if (m.files.len)
    rc = transfer_run(&job, err);
  return rc == OME_OK ? publish(p, &m, staging, err) : rc;
}

static int32_t pull(const struct pull *p, struct transfer_event *end, struct ome_err *err) {
  _cleanup_(http_service_freep) struct http_service *http = NULL;
  _cleanup_(plugins_freep) struct plugins *plugins = NULL;
  struct plugin_instance *storage = NULL;
  int32_t rc = http_service_new(&http, err);

  if (rc != OME_OK)
    return rc;
  const struct plugin_service services[] = {{OME_SERVICE_HTTP, http_service_table(http)}};
  rc = plugins_load(p->plugins, services, ARRAY_LEN(services), &plugins, err);
  if (rc == OME_OK)
    rc = plugins_storage_for(plugins, p->uri, &storage, err);
  return rc == OME_OK ? fetch(p, storage, end, err) : rc;
}

static int run(const struct cli_command *self, int argc, char **argv) {
  struct pull p = {.connections = 8, .format = "table", .report.terminal = isatty(STDERR_FILENO) == 1};
  struct transfer_event end = {0};
  struct ome_err err = ERR_INIT;
  const struct cli_option options[] = {
      {'o', "output", "FORMAT", "json: one event a line on standard output", CLI_STRING, &p.format},
      {0, "revision", "NAME", "branch, tag or commit; what the address says otherwise", CLI_STRING, &p.revision},
      {0, "connections", "N", "requests at a time, 8", CLI_UINT, &p.connections},
      {0, "plugins", "FILE", "plugins.conf to load", CLI_STRING, &p.plugins},
      {0, NULL, NULL, NULL, CLI_FLAG, NULL},
  };

  if (cli_parse(self, options, argc, argv) != 2)
    return cli_usage(self, "an address and a folder are needed");
  if (p.connections == 0 || p.connections > 64)
    return cli_usage(self, "--connections is 1 to 64");
  p.uri = argv[1];
  p.dir = argv[2];
  p.report.json = streq(p.format, "json");
  cli_signals_block();
  int32_t rc = pull(&p, &end, &err);
  return transfer_report_end(&p.report, &end, rc, &err);
}

const struct cli_command cli_pull = {
    .name = "pull",
    .args = "URI DIR",
    .summary = "fetch and verify one model",
    .help = "Fetches the files of a model into DIR, in parallel and verified; run again, it goes on where it was.\n"
            "Tokens come from the environment (HF_TOKEN) or plugins.conf, never from the command line.\n\n"
            "  ome pull hf://HuggingFaceTB/SmolLM2-135M-Instruct ./smollm2\n",
    .run = run,
};
