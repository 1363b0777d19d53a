/* What the Job controller decides. */
#include "../unit.h"

#include "docs.h"
#include "kube/meta.h"
#include "local/plan.h"

#define NOW 1800000000000 /* 2027-01-15T08:00:00Z */

#define POD(name, phase, rest)                                                                                         \
  "{'metadata':{'name':'" name "','creationTimestamp':'2027-01-15T07:00:00Z'" rest "},'status':{'phase':'" phase "'}}"
#define INDEX(n) ",'annotations':{'batch.kubernetes.io/job-completion-index':'" n "'}"

static struct json_object *job_of(const char *spec, const char *status) {
  _cleanup_free_ char *text = str_printf(
      "{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'j','namespace':'default','uid':'j1'},'spec':{"
      "%s%s'template':{'metadata':{'labels':{'a':'b'}},'spec':{'restartPolicy':'Never',"
      "'containers':[{'name':'c'}]}}},'status':%s}",
      spec, *spec ? "," : "", status);
  return doc(text);
}

static void passes(void **state) {
  static const struct {
    const char *spec, *status, *pods;
    size_t create, remove;
    const char *want;
  } cases[] = {
      {"", "{}", "[]", 1, 0, "{'active':1,'startTime':'2027-01-15T08:00:00Z'}"},
      {"'completions':5,'parallelism':2", "{}", "[]", 2, 0, "{'active':2}"},
      {"'completions':3,'parallelism':2", "{}", "[" POD("a", "Succeeded", "") "," POD("b", "Succeeded", "") "]", 1, 0,
       "{'active':1,'succeeded':2}"},
      {"'parallelism':3", "{}", "[" POD("a", "Succeeded", "") "," POD("b", "Running", "") "]", 0, 0,
       "{'active':1,'succeeded':1}"},
      {"", "{}", "[" POD("a", "Succeeded", "") "]", 0, 0,
       "{'succeeded':1,'completionTime':'2027-01-15T08:00:00Z','conditions':[{'type':'Complete','status':'True'}]}"},
      {"'backoffLimit':1", "{}", "[" POD("a", "Failed", "") "," POD("b", "Failed", "") "]", 0, 0,
       "{'failed':2,'conditions':[{'type':'Failed','status':'True','reason':'BackoffLimitExceeded',"
       "'message':'Job has reached the specified backoff limit'}]}"},
      {"'backoffLimit':3", "{}", "[" POD("a", "Failed", "") "]", 1, 0, "{'failed':1,'active':1}"},
      {"'activeDeadlineSeconds':60", "{'startTime':'2027-01-15T07:58:00Z'}", "[" POD("a", "Running", "") "]", 0, 1,
       "{'conditions':[{'type':'Failed','reason':'DeadlineExceeded'}]}"},
      {"'suspend':true", "{'startTime':'2027-01-15T07:58:00Z'}", "[" POD("a", "Running", "") "]", 0, 1,
       "{'conditions':[{'type':'Suspended','status':'True'}]}"},
      {"'completions':3,'parallelism':3,'completionMode':'Indexed'", "{}",
       "[" POD("a", "Succeeded", INDEX("0")) "," POD("b", "Failed", INDEX("1")) "," POD("c", "Succeeded",
                                                                                        INDEX("2")) "]",
       1, 0, "{'succeeded':2,'completedIndexes':'0,2'}"},
      {"'parallelism':1", "{}", "[" POD("a", "Running", "") "," POD("b", "Running", "") "]", 0, 1, "{'active':1}"},
  };
  (void)state;

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *job = job_of(cases[i].spec, cases[i].status), *pods = doc(cases[i].pods);
    _cleanup_plan_ struct plan p;
    plan_init(&p);
    job_plan(job, pods, NOW, &p);
    if (json_len(p.create) != cases[i].create || json_len(p.remove) != cases[i].remove)
      fail_msg("case %zu: %zu made, %zu removed", i, json_len(p.create), json_len(p.remove));
    assert_holds(p.status, cases[i].want);
  }
}

static void indexed_pods_know_their_index(void **state) {
  _cleanup_json_ struct json_object *job = job_of("'completions':2,'parallelism':1,'completionMode':'Indexed'", "{}");
  _cleanup_json_ struct json_object *pods = doc("[" POD("a", "Succeeded", INDEX("0")) "]");
  _cleanup_plan_ struct plan p;
  (void)state;

  plan_init(&p);
  job_plan(job, pods, NOW, &p);
  assert_holds(json_index(p.create, 0),
               "{'metadata':{'generateName':'j-1-','labels':{'a':'b','job-name':'j','controller-uid':'j1'},"
               "'annotations':{'batch.kubernetes.io/job-completion-index':'1'}},"
               "'spec':{'containers':[{'env':[{'name':'JOB_COMPLETION_INDEX'}]}]}}");
}

static void failures_are_spaced_out(void **state) {
  _cleanup_json_ struct json_object *job = job_of("", "{}");
  _cleanup_json_ struct json_object *pods =
      doc("[{'metadata':{'name':'a','creationTimestamp':'2027-01-15T07:59:57Z'},'status':{'phase':'Failed'}}]");
  _cleanup_plan_ struct plan p;
  (void)state;

  plan_init(&p);
  job_plan(job, pods, NOW, &p);
  assert_int_equal(json_len(p.create), 0);
  assert_int_equal(p.again_ms, 7000);
}

static void finished_jobs_go_after_their_time(void **state) {
  static const char done[] = "{'conditions':[{'type':'Complete','status':'True',"
                             "'lastTransitionTime':'2027-01-15T07:59:00Z'}]}";
  _cleanup_json_ struct json_object *late = job_of("'ttlSecondsAfterFinished':60", done);
  _cleanup_json_ struct json_object *early = job_of("'ttlSecondsAfterFinished':61", done);
  _cleanup_json_ struct json_object *none = json_object_new_array();
  _cleanup_plan_ struct plan p, q;
  (void)state;

  plan_init(&p);
  plan_init(&q);
  job_plan(late, none, NOW, &p);
  assert_true(p.remove_self);
  job_plan(early, none, NOW, &q);
  assert_false(q.remove_self);
  assert_int_equal(q.again_ms, 1000);
  assert_int_equal(json_len(q.create), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(passes),
      cmocka_unit_test(indexed_pods_know_their_index),
      cmocka_unit_test(failures_are_spaced_out),
      cmocka_unit_test(finished_jobs_go_after_their_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
