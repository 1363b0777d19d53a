/* The HTTP API of the Hugging Face Hub, for reading, as a handler of any http_server: what repositories there are, and
 * their bytes, is the source's matter.
 *
 * What a branch leads to is the source's matter too; another commit than that of what it gives is not found. */
#ifndef HOST_HUB_API_H
#define HOST_HUB_API_H

#include "base/cleanup.h"
#include "hub/repository.h"

struct loop;
struct http_exchange;
struct hub_api;

struct hub_source {
  /* Repository NAME ("org/name", or "name") as it is now at REVISION, a commit or a branch (HUB_BRANCH where the client
   * names none), *OUT new; OME_E_NOT_FOUND: there is none; OME_E_INVALID: not at this revision; OME_E_BUSY: try again.
   * May take its time, until STOP: on a thread of the API's own. */
  int32_t (*read)(void *arg, const char *name, const char *revision, const atomic_bool *stop, struct repository **out,
                  struct ome_err *err);
  /* F of R for reading; -1: it is not there.  On the server's loop, as the next one. */
  int (*open)(void *arg, const struct repository *r, const struct repo_file *f);
  /* Whether F is still as R says, so that R, read before, serves again; NULL: it is read anew for each request, as it
   * has to be where a repository may have several revisions. */
  bool (*is_current)(void *arg, const struct repository *r, const struct repo_file *f);
  void *arg;
};

#define HUB_BRANCH "main"
#define HUB_COMMIT_LEN 40u
/* Whether REVISION can be no branch. */
bool hub_is_commit(const char *revision);

struct hub_api_config {
  struct hub_source source;
  void (*sent)(size_t bytes); /* so many more of files have gone out, on the server's loop; NULL: nobody counts */
  const char *token;          /* what clients must present; NULL: nothing */
  int fault_status;           /* answer every request so; 0: do not */
  uint64_t fault_cut;         /* end file bodies after so many bytes; 0: do not */
};

/* For servers on LOOP. */
int32_t hub_api_new(struct loop *loop, const struct hub_api_config *cfg, struct hub_api **out, struct ome_err *err);
/* An http_handler; its argument is the hub_api. */
void hub_api_handle(void *hub_api, struct http_exchange *x);
/* After the servers that use it, before their loop; not on the loop's thread.  The source is not asked any more. */
void hub_api_free(struct hub_api *h);

#endif
