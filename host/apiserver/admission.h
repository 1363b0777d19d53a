/* Admission of a change by webhooks (Kubernetes "Dynamic Admission Control").
 *
 * A write asks here before it takes effect.  Where a webhook has to be asked, the write gives way: it hears that it
 * waits, the verb unwinds, and when the answers are there the verb runs once more from the start, against what is
 * stored then.  Answers are remembered by what was asked, so that a verb that runs again over unchanged objects passes,
 * and one whose object was changed by somebody else meanwhile asks anew, until ADMISSION_MS are over.
 *
 * A verb that asks must therefore do the same thing each time it runs: what it invents (a uid, a name, the time) it
 * takes from the request, see struct request.  Loop thread. */
#ifndef HOST_APISERVER_ADMISSION_H
#define HOST_APISERVER_ADMISSION_H

#include "apiserver/webhook.h"

#define ADMISSION_MS 60000u /* in all, for one request */

struct admission;

enum admitted {
  ADMITTED,
  ADMISSION_WAITS, /* the verb unwinds; it will run again */
  ADMISSION_ENDED  /* answered */
};

/* Lets mutating webhooks change A->object, which is new and the caller's; *CHANGED when one did.  After each, FINISH
 * (may be NULL) makes the object whole again; false: it has answered. */
typedef bool admission_finish_fn(struct request *req, struct json_object *o, struct json_object *old);
enum admitted admit_mutating(struct request *req, struct attributes *a, admission_finish_fn *finish, bool *changed);
/* Asks validating webhooks, all at once. */
enum admitted admit_validating(struct request *req, const struct attributes *a);
/* Both, for a change without a new object: DELETE of OLD. */
enum admitted admit_delete(struct request *req, struct json_object *old);

/* What REQ is about, without objects. */
struct attributes attributes_of(const struct request *req, const char *operation);

void admission_free(struct admission *a);
/* The server ends: calls that run fail, what waits for them is answered.  Before its loop ends. */
void admission_stop(struct apiserver *s);

#endif
