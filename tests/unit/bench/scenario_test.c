#include "../unit.h"

#include "base/cleanup.h"
#include "bench/scenario.h"

static void reads_what_ome_and_genai_bench_write(void **state) {
  static const struct {
    enum bench_task task;
    const char *text;
    uint32_t n[4];
  } good[] = {
      {TASK_CHAT, "D(100,1000)", {100, 1000}},
      {TASK_CHAT, "N(480,240)/(300,150)", {480, 240, 300, 150}},
      {TASK_COMPLETIONS, "U(50,100)/(200,250)", {50, 100, 200, 250}},
      {TASK_CHAT, "U(1000,100)", {1000, 100}},
      {TASK_CHAT, "P(2000,500)/200", {2000, 500, 200}},
      {TASK_EMBEDDINGS, "E(1024)", {1024}},
      {TASK_EMBEDDINGS, "E(128,16)", {128, 16}},
      {TASK_RERANK, "R(1024,100)", {1024, 100}},
      {TASK_RERANK, "R(1024)", {1024}},
      {TASK_IMAGE_CHAT, "I(2048,1024)", {2048, 1024}},
      {TASK_IMAGE_EMBEDDINGS, "I(512,512,4)", {512, 512, 4}},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(good); i++) {
    struct ome_err err = ERR_INIT;
    struct scenario s;
    assert_int_equal(scenario_parse(good[i].text, good[i].task, &s, &err), OME_OK);
    assert_memory_equal(s.n, good[i].n, sizeof(s.n));
    assert_string_equal(s.text, good[i].text);
  }
}

static void refuses_the_rest(void **state) {
  static const char *const bad[] = {"",
                                    "D",
                                    "D()",
                                    "D(1)",
                                    "D(1,2",
                                    "D(1,2))",
                                    "D(1,2)x",
                                    " D(1,2)",
                                    "D(-1,2)",
                                    "D(1.5,2)",
                                    "D(0,5)",
                                    "d(1,2)",
                                    "N(1,2)",
                                    "U(5,4)/(1,2)",
                                    "U(0,5)",
                                    "D(1000001,1)",
                                    "D(9999999999999,1)",
                                    "P(600000,600000)/1",
                                    "X(1,2)",
                                    "E(5)",
                                    "I(5,5)"};

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    struct ome_err err = ERR_INIT;
    struct scenario s;
    assert_int_equal(scenario_parse(bad[i], TASK_CHAT, &s, &err), OME_E_INVALID);
    assert_non_null(strstr(err.msg, "scenario "));
  }
}

static void refuses_what_no_request_could_be(void **state) {
  struct ome_err err = ERR_INIT;
  struct scenario s;

  (void)state;
  assert_int_equal(scenario_parse("I(0,5)", TASK_IMAGE_CHAT, &s, &err), OME_E_INVALID);
  assert_int_equal(scenario_parse("I(5,9000)", TASK_IMAGE_CHAT, &s, &err), OME_E_INVALID);
  assert_int_equal(scenario_parse("I(5,5,0)", TASK_IMAGE_CHAT, &s, &err), OME_E_INVALID);
  assert_int_equal(scenario_parse("E(5,257)", TASK_EMBEDDINGS, &s, &err), OME_E_INVALID);
}

static void draws_as_the_notation_says(void **state) {
  struct ome_err err = ERR_INIT;
  struct random r = {7};
  struct scenario normal, uniform, fixed, prefix;
  double sum = 0;

  (void)state;
  assert_int_equal(scenario_parse("N(480,24)/(300,15)", TASK_CHAT, &normal, &err), OME_OK);
  assert_int_equal(scenario_parse("U(50,100)/(200,250)", TASK_CHAT, &uniform, &err), OME_OK);
  assert_int_equal(scenario_parse("D(7,9)", TASK_CHAT, &fixed, &err), OME_OK);
  assert_int_equal(scenario_parse("P(20,5)/3", TASK_CHAT, &prefix, &err), OME_OK);
  for (int i = 0; i < 10000; i++) {
    struct sample n, u;
    scenario_sample(&normal, &r, &n);
    sum += n.input_tokens;
    scenario_sample(&uniform, &r, &u);
    assert_in_range(u.input_tokens, 50, 100);
    assert_in_range(u.output_tokens, 200, 250);
  }
  assert_in_range((int)(sum / 10000), 479, 480); /* the fraction is cut off */
  struct sample s;
  scenario_sample(&fixed, &r, &s);
  assert_int_equal(s.input_tokens, 7);
  assert_int_equal(s.output_tokens, 9);
  scenario_sample(&prefix, &r, &s);
  assert_int_equal(s.input_tokens, 25);
  assert_int_equal(s.prefix_tokens, 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_what_ome_and_genai_bench_write),
      cmocka_unit_test(refuses_the_rest),
      cmocka_unit_test(refuses_what_no_request_could_be),
      cmocka_unit_test(draws_as_the_notation_says),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
