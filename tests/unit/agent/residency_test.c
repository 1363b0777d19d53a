/* Who makes room, as a table: models are letters, oldest use first; their contents are letters too, 10 bytes each. */
#include "../unit.h"

#include "../documents.h"

#include "agent/demand.h"
#include "agent/residency.h"

#include <stdio.h>
#include <string.h>

#define MAX_MODELS 8
#define CONTENT_BYTES 10

struct row {
  const char *about;
  const char *models; /* "a:xy b:y! ...": name, contents, then ! stays, > was asked to go */
  uint64_t capacity;
  unsigned high, low; /* percent */
  uint64_t coming, need;
  enum residency_verdict verdict;
  const char *evicted; /* in order */
};

static const struct row rows[] = {
    {"an empty store", "", 100, 90, 80, 0, 50, RESIDENCY_FITS, ""},
    {"below the high mark", "a:vw b:xy", 100, 90, 80, 0, 50, RESIDENCY_FITS, ""},
    {"above it, the oldest goes", "a:vw b:xy", 100, 90, 80, 0, 60, RESIDENCY_EVICT, "a"},
    {"down to the low mark", "a:v b:w c:x d:y", 100, 90, 80, 0, 60, RESIDENCY_EVICT, "ab"},
    {"a low mark that is far down", "a:v b:w c:x d:y", 100, 90, 50, 0, 60, RESIDENCY_EVICT, "abcd"},
    {"never one that stays", "a:vw! b:xy", 100, 90, 80, 0, 60, RESIDENCY_EVICT, "b"},
    {"above the mark, but nobody may go, and it fits", "a:vw! b:xy!", 100, 90, 80, 0, 60, RESIDENCY_FITS, ""},
    {"what stays is in the way", "a:vw! b:xy!", 100, 90, 80, 0, 61, RESIDENCY_WAIT, ""},
    {"nobody goes for nothing", "a:vwx! b:y", 100, 90, 80, 0, 80, RESIDENCY_WAIT, ""},
    {"what was promised to others counts", "a:v b:w", 100, 90, 80, 50, 30, RESIDENCY_EVICT, "ab"},
    {"others on their way are in the way", "", 100, 90, 80, 50, 51, RESIDENCY_WAIT, ""},
    {"larger than the store", "a:v b:w", 100, 90, 80, 0, 101, RESIDENCY_REFUSE, ""},
    {"as large as the store", "a:v b:w", 100, 90, 80, 0, 100, RESIDENCY_EVICT, "ab"},
    {"a size that is a lie", "a:v", 100, 90, 80, 0, UINT64_MAX, RESIDENCY_REFUSE, ""},
    {"shared bytes count once", "a:wxyz b:wxyz", 100, 90, 80, 0, 50, RESIDENCY_FITS, ""},
    {"bytes go with the last that has them", "a:wxyz b:wxyz c:v", 100, 90, 80, 0, 60, RESIDENCY_EVICT, "ab"},
    {"one that only shares frees nothing", "a:wx b:y c:wxz!", 100, 90, 80, 0, 60, RESIDENCY_EVICT, "b"},
    {"one that shares some frees the rest", "a:wx b:y c:w!", 100, 90, 90, 0, 65, RESIDENCY_EVICT, "a"},
    {"the same file twice in a model", "a:xx b:y", 100, 90, 80, 0, 75, RESIDENCY_EVICT, "ab"},
    {"who was asked goes first", "a:v b:w c:x>", 100, 90, 80, 0, 65, RESIDENCY_EVICT, "ca"},
    {"a store that became smaller", "a:vw b:wx c:yz", 40, 90, 80, 0, 0, RESIDENCY_EVICT, "ab"},
    {"smaller than what stays", "a:vw! b:xy!", 30, 90, 80, 0, 0, RESIDENCY_FITS, ""},
    {"a model without files", "a: b:x", 10, 100, 100, 0, 10, RESIDENCY_EVICT, "b"},
};

struct parsed {
  struct resident models[MAX_MODELS];
  struct residency_content contents[MAX_MODELS][8];
  char texts[MAX_MODELS][32];
  char ids[26][2];
  size_t n;
};

static void parse_model(struct parsed *p, const char *word) {
  struct resident *m = &p->models[p->n];
  const char *c = word + 2;

  (void)snprintf(p->texts[p->n], sizeof(p->texts[0]), "%c", word[0]);
  *m = (struct resident){.key = p->texts[p->n], .contents = p->contents[p->n], .used = p->n};
  for (; *c >= 'a' && *c <= 'z'; c++) {
    p->ids[*c - 'a'][0] = *c;
    p->contents[p->n][m->ncontents++] = (struct residency_content){p->ids[*c - 'a'], CONTENT_BYTES};
  }
  m->stays = *c == '!' ? RESIDENT_REFERENCED : 0;
  m->leaving = *c == '>';
  p->n++;
}

static void parse_models(struct parsed *p, const char *text) {
  char copy[128];
  char *rest = NULL;

  memset(p, 0, sizeof(*p));
  (void)snprintf(copy, sizeof(copy), "%s", text);
  for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
    parse_model(p, word);
}

static void decides(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    const struct row *r = &rows[i];
    const struct residency_limits limits = residency_limits_of(r->capacity, r->high, r->low);
    _cleanup_residency_ struct residency_decision d = {.verdict = RESIDENCY_FITS};
    struct ome_err err = ERR_INIT;
    struct parsed p;
    char evicted[MAX_MODELS + 1] = "";

    parse_models(&p, r->models);
    assert_int_equal(residency_decide(&limits, p.models, p.n, r->coming, r->need, &d, &err), OME_OK);
    for (size_t j = 0; j < d.evict.len; j++)
      evicted[j] = p.models[d.evict.items[j]].key[0];
    if (d.verdict != r->verdict || strcmp(evicted, r->evicted) != 0)
      fail_msg("%s: verdict %d, evicts \"%s\"; %s", r->about, d.verdict, evicted, d.why);
    bool has_words = d.verdict == RESIDENCY_WAIT || d.verdict == RESIDENCY_REFUSE;
    assert_int_equal(d.why[0] != '\0', has_words);
  }
}

static void says_numbers(void **state) {
  const struct residency_limits limits = residency_limits_of((uint64_t)100 << 30, 90, 80);
  const struct residency_content big = {"x", (uint64_t)70 << 30};
  const struct resident model = {.key = "a", .contents = &big, .ncontents = 1, .stays = RESIDENT_PINNED};
  _cleanup_residency_ struct residency_decision d = {.verdict = RESIDENCY_FITS};
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(residency_decide(&limits, &model, 1, 0, (uint64_t)40 << 30, &d, &err), OME_OK);
  assert_int_equal(d.verdict, RESIDENCY_WAIT);
  assert_non_null(strstr(d.why, "40"));
  assert_non_null(strstr(d.why, "100"));
  assert_non_null(strstr(d.why, "70"));
  assert_true(d.staying == big.bytes && d.used == big.bytes);
}

static void marks(void **state) {
  struct residency_limits l = residency_limits_of(UINT64_MAX, 90, 95);

  (void)state;
  assert_true(l.low == l.high && l.high < l.capacity && l.high > l.capacity / 100 * 89);
  l = residency_limits_of(1000, 200, 80);
  assert_true(l.high == 1000 && l.low == 800);
}

/* ---- who uses a model -------------------------------------------------------------------------------------------- */

#define LABEL "models.ome.io/clusterbasemodel.m"

static void knows_who_uses(void **state) {
  static const struct {
    const char *about, *pod;
    bool uses;
  } pods[] = {
      {"selects it", "{metadata: {uid: u}, spec: {nodeSelector: {" LABEL ": Ready}}}", true},
      {"selects another", "{metadata: {uid: u}, spec: {nodeSelector: {" LABEL "x: Ready}}}", false},
      {"mounts it", "{metadata: {uid: u}, spec: {volumes: [{hostPath: {path: /m/m}}]}}", true},
      {"mounts a part", "{metadata: {uid: u}, spec: {volumes: [{}, {hostPath: {path: /m/m/sub/}}]}}", true},
      {"mounts a neighbour", "{metadata: {uid: u}, spec: {volumes: [{hostPath: {path: /m/m2}}]}}", false},
      {"mounts all", "{metadata: {uid: u}, spec: {volumes: [{hostPath: {path: /m}}, {hostPath: {path: /}}]}}", false},
      {"is over", "{metadata: {uid: u}, spec: {nodeSelector: {" LABEL ": Ready}}, status: {phase: Succeeded}}", false},
      {"is strange", "{metadata: {uid: u}, spec: {nodeSelector: [1], volumes: {a: 1}}}", false},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(pods); i++) {
    _cleanup_(demand_freep) struct demand *d = demand_new();
    _cleanup_json_ struct json_object *pod = yaml(pods[i].pod);
    (void)demand_put(d, pod);
    if (demand_has(d, LABEL, "/m/m") != pods[i].uses)
      fail_msg("a pod that %s", pods[i].about);
    assert_false(demand_put(d, pod)); /* no news */
    (void)demand_drop(d, pod);
    assert_false(demand_has(d, LABEL, "/m/m"));
  }
}

static void follows_a_pod(void **state) {
  _cleanup_(demand_freep) struct demand *d = demand_new();
  _cleanup_json_ struct json_object *runs = yaml("{metadata: {uid: u}, spec: {nodeSelector: {" LABEL ": Ready}}}");
  _cleanup_json_ struct json_object *over =
      yaml("{metadata: {uid: u}, spec: {nodeSelector: {" LABEL ": Ready}}, status: {phase: Failed}}");

  (void)state;
  assert_true(demand_put(d, runs));
  assert_true(demand_has(d, LABEL, "/m/m"));
  assert_true(demand_put(d, over));
  assert_false(demand_has(d, LABEL, "/m/m"));
  assert_false(demand_drop(d, runs));
}

static void follows_the_overlays_of_a_service(void **state) {
  static const struct {
    const char *service;
    bool news, cluster, own; /* whether models of the cluster and of the namespace are in use */
  } steps[] = {
      {"{metadata: {uid: s, namespace: n}, spec: {model: {name: m}}}", false, false, false},
      {"{metadata: {uid: s, namespace: n}, spec: {model: {name: x, overlays: [{name: y}, {name: m}]}}}", true, true,
       true},
      {"{metadata: {uid: s, namespace: n}, spec: {model: {name: z, overlays: [{name: y}, {name: m}]}}}", false, true,
       true},
      {"{metadata: {uid: s, namespace: n}, spec: {model: {name: z, overlays: [{}, 1, {name: m2}]}}}", true, false,
       false},
      {"{metadata: {uid: s, namespace: n}, spec: {model: {name: z, overlays: {name: m}}}}", true, false, false},
  };
  _cleanup_(demand_freep) struct demand *d = demand_new();

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
    _cleanup_json_ struct json_object *service = yaml(steps[i].service);
    if (demand_put(d, service) != steps[i].news || demand_has(d, LABEL, "/m/m") != steps[i].cluster ||
        demand_has(d, "models.ome.io/n.basemodel.m", "/m/m") != steps[i].own)
      fail_msg("step %zu: %s", i, steps[i].service);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(decides),       cmocka_unit_test(says_numbers),
      cmocka_unit_test(marks),         cmocka_unit_test(knows_who_uses),
      cmocka_unit_test(follows_a_pod), cmocka_unit_test(follows_the_overlays_of_a_service),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
