/* The protocol that the service wants spoken (PROTOCOL_VERSION of its engine) against those that the runtime states.
 * OME does not look at it. */
#include "preference.h"

#include "match.h"

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  const struct ome_wish_facts *wish = wish_of(req);
  const char *const *speaks = req->runtime->protocols;

  (void)call, (void)err;
  if (!wish || !*wish->protocol)
    return OME_OK;
  if (!speaks || !*speaks)
    return points(req, out, 0, "runtime states no protocols, the service wants %.60s", wish->protocol);
  if (list_has(speaks, wish->protocol))
    return prefer(self, req, out, 1, "runtime speaks %.60s", wish->protocol);
  return prefer(self, req, out, 0, "service wants protocol %.60s, runtime speaks %.60s%s", wish->protocol, *speaks,
                speaks[1] ? " and others" : "");
}

PREFERENCE_FACTORY(protocol, "protocol");
