/* BenchmarkJobs at the door. */
#include "admission/review.h"

#include "base/regex.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* What a scenario of each task looks like; a job that names no task means text-to-text.  Embeddings take one number or
 * two: OME documents the first and checks for the second. */
static const struct {
  const char *task, *pattern;
} tasks[] = {
    {"text-to-text", "^(N\\(\\d+,\\d+\\)/\\(\\d+,\\d+\\)|U\\(\\d+,\\d+\\)(/\\(\\d+,\\d+\\))?|D\\(\\d+,\\d+\\)|"
                     "P\\(\\d+,\\d+\\)/\\d+|dataset)$"},
    {"text-to-embeddings", "^E\\(\\d+(,\\d+)?\\)$"},
    {"text-to-rerank", "^R\\(\\d+(,\\d+)?\\)$"},
    {"image-to-text", "^I\\(\\d+,\\d+(,\\d+)?\\)$"},
    {"image-to-embeddings", "^I\\(\\d+,\\d+(,\\d+)?\\)$"},
};

static void check_endpoint(struct review *r) {
  bool url = json_at(r->object, "spec.endpoint.endpoint") != NULL;
  bool service = json_at(r->object, "spec.endpoint.inferenceService") != NULL;

  if (!url && !service)
    verdict_deny(r, "invalid endpoint: endpoint or InferenceService must be specified");
  else if (url && service)
    verdict_deny(r, "invalid endpoint: endpoint and InferenceService cannot be specified together");
}

static void check_scenarios(struct review *r) {
  struct json_object *list = json_at(r->object, "spec.trafficScenarios");
  const char *task = json_str(r->object, "spec.task", "text-to-text");
  const char *pattern = NULL;

  for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
    if (streq(tasks[i].task, task))
      pattern = tasks[i].pattern;
  if (!pattern) {
    verdict_deny(r, "invalid traffic scenarios: no validation pattern defined for task: %s", task);
    return;
  }
  for (size_t i = 0; i < json_len(list); i++) {
    const char *scenario = json_object_get_string(json_index(list, i));
    if (!scenario || !regex_matches(pattern, scenario))
      verdict_deny(
          r,
          "invalid traffic scenarios: failed to validate scenario '%s': invalid scenario format for task '%s': "
          "%s",
          scenario ? scenario : "", task, scenario ? scenario : "");
  }
}

static void check_parameters(struct review *r) {
  const char *temperature = json_str(r->object, "spec.additionalRequestParams.temperature", NULL);
  const char *ignore = json_str(r->object, "spec.additionalRequestParams.ignore_eos", NULL);
  char *end;

  if (temperature && ((void)strtod(temperature, &end), end == temperature || *end))
    verdict_deny(r, "invalid additional request parameters: temperature must be a number, not '%s'", temperature);
  if (ignore && !streq(ignore, "true") && !streq(ignore, "false"))
    verdict_deny(r, "invalid additional request parameters: ignore_eos must be 'true' or 'false'");
}

static void check_output(struct review *r) {
  const char *uri = json_str(r->object, "spec.outputLocation.storageUri", "");

  if (!*uri)
    verdict_deny(r, "invalid storage: storageUri cannot be empty");
  else if (!regex_matches("^[a-z][a-z0-9+.-]*://.", uri))
    verdict_deny(r, "invalid storage: spec.outputLocation.storageUri: \"%s\" is no URI of a storage backend", uri);
}

static void check_concurrency(struct review *r) {
  struct json_object *list = json_at(r->object, "spec.numConcurrency");

  for (size_t i = 0; i < json_len(list); i++)
    if (json_object_get_int64(json_index(list, i)) < 1)
      verdict_deny(r, "invalid concurrency: spec.numConcurrency[%zu]: must be at least 1", i);
}

int32_t validate_benchmark(struct review *r, struct ome_err *err) {
  (void)err;
  if (r->old && json_equal(json_get(r->old, "spec"), json_get(r->object, "spec")))
    return OME_OK;
  check_endpoint(r);
  check_scenarios(r);
  check_parameters(r);
  check_output(r);
  check_concurrency(r);
  return OME_OK;
}
