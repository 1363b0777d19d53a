/* storage "s3": addresses, listings, digests, the AWS tools' files. */
#include "../unit.h"

#include "../../../plugins/common/process.h"
#include "../../../plugins/common/xml.h"
#include "../../../plugins/storage/aws_profile.h"
#include "../../../plugins/storage/s3_answer.h"
#include "../../../plugins/storage/s3_uri.h"

#include <stdlib.h>

static void uris(void **state) {
  static const char *const wrong[] = {"",          "s3://",       "s3://ab/x",    "s3:///x",     "s3://-ab/x",
                                      "s3://a b/", "s3://abc@/x", "s3://abc@e_/", "s3://abc/\n", "http://abc/x"};
  struct s3_uri u;

  (void)state;
  assert_int_equal(s3_uri_parse("s3://bkt@us-west-2/a/b", &u), 0);
  assert_string_equal(u.bucket, "bkt");
  assert_string_equal(u.region, "us-west-2");
  assert_string_equal(u.key, "a/b");
  assert_false(u.is_folder);
  assert_int_equal(s3_uri_parse("s3://bkt/a@b/c//?versionId=v1", &u), 0);
  assert_string_equal(u.region, "");
  assert_string_equal(u.key, "a@b/c");
  assert_string_equal(u.version, "v1");
  assert_true(u.is_folder);
  assert_int_equal(s3_uri_parse("s3://bkt", &u), 0);
  assert_string_equal(u.key, "");
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(s3_uri_parse(wrong[i], &u), -1);
}

static void addresses(void **state) {
  char out[512], region[32];

  (void)state;
  assert_int_equal(s3_base_url(NULL, S3_STYLE_AUTO, "bkt", "eu-west-1", out, sizeof(out)), 0);
  assert_string_equal(out, "https://bkt.s3.eu-west-1.amazonaws.com");
  assert_int_equal(s3_region_of("https://bkt.s3.eu-west-1.amazonaws.com/k", region, sizeof(region)), 0);
  assert_string_equal(region, "eu-west-1");
  assert_int_equal(s3_region_of("https://example.com/s3.eu-west-1.amazonaws.com", region, sizeof(region)), -1);
  assert_int_equal(s3_base_url(NULL, S3_STYLE_AUTO, "b.kt", "cn-north-1", out, sizeof(out)), 0);
  assert_string_equal(out, "https://s3.cn-north-1.amazonaws.com.cn/b.kt");
  assert_int_equal(s3_base_url("http://h:1/", S3_STYLE_AUTO, "bkt", "x", out, sizeof(out)), 0);
  assert_string_equal(out, "http://h:1/bkt");
  assert_int_equal(s3_base_url("http://h:1", S3_STYLE_VIRTUAL, "bkt", "x", out, sizeof(out)), 0);
  assert_string_equal(out, "http://bkt.h:1");
  assert_int_equal(s3_base_url("ftp://h", S3_STYLE_AUTO, "bkt", "x", out, sizeof(out)), -1);
  assert_int_equal(s3_object_url("http://h/bkt", "a b/+&", "v=", 1, out, sizeof(out)), 0);
  assert_string_equal(out, "http://h/bkt/a%20b/%2B%26?partNumber=1&versionId=v%3D");
  assert_int_equal(s3_object_url("http://h/bkt", "a", "", 0, out, 14), -1);
}

#define PAGE(more, key)                                                                                                \
  "<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>" more "<Contents><Key>" key                      \
  "</Key><ETag>&quot;ab&quot;</ETag><Size>5</Size></Contents></ListBucketResult>"

static int32_t add(struct s3_listing *l, const char *xml) {
  return s3_listing_add(l, xml, strlen(xml), 3);
}

static void listings(void **state) {
  struct s3_listing l = {0};

  (void)state;
  assert_int_equal(add(&l, PAGE("<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
                                "<NextContinuationToken>t/1=</NextContinuationToken>",
                                "m%2Fa+b%2B%C3%A9")),
                   OME_OK);
  assert_string_equal(l.next, "t/1=");
  assert_string_equal(l.objects[0].key, "m/a b+\xc3\xa9");
  assert_string_equal(l.objects[0].etag, "\"ab\"");
  assert_int_equal(l.objects[0].size, 5);
  assert_int_equal(add(&l, PAGE("<IsTruncated>false</IsTruncated>", "a%2Bb")), OME_OK);
  assert_null(l.next);
  assert_string_equal(l.objects[1].key, "a%2Bb");
  assert_int_equal(add(&l, PAGE("<IsTruncated>true</IsTruncated>", "x")), OME_E_INVALID); /* no token */
  assert_int_equal(add(&l, PAGE("", "one more than allowed")), OME_E_INVALID);
  assert_int_equal(add(&l, "<html></html>"), OME_E_INVALID);
  assert_int_equal(add(&l, "<ListBucketResult>"), OME_E_INVALID);
  assert_int_equal(add(&l, "<!DOCTYPE a [<!ENTITY b 'c'>]><ListBucketResult/>"), OME_E_INVALID);
  s3_listing_fini(&l);
}

static void xml(void **state) {
  static const char text[] = "<e:Error xmlns:e='x'><e:Code>No &amp; such</e:Code><Code>other</Code></e:Error>";
  char out[16];

  (void)state;
  assert_int_equal(xml_text(text, sizeof(text) - 1, "Error/Code", out, sizeof(out)), 0);
  assert_string_equal(out, "No & such");
  assert_int_equal(xml_text(text, sizeof(text) - 1, "Error/Code", out, 5), -1);
  assert_int_equal(xml_text(text, sizeof(text) - 1, "Error/Message", out, sizeof(out)), -1);
  assert_int_equal(xml_text(NULL, 0, "Error/Code", out, sizeof(out)), -1);
}

#define MD5 "5d41402abc4b2a76b9719d911017c592"

static void expect(const struct ome_kv *headers, uint64_t n, uint32_t type, const char *hex, uint32_t parts) {
  struct s3_digest d;

  s3_digest_of(headers, n, &d);
  assert_int_equal(d.type, type);
  assert_string_equal(d.hex, hex);
  assert_int_equal(d.parts, parts);
}

static void digests(void **state) {
  const struct ome_kv plain[] = {{"etag", "\"" MD5 "\""}, {"x-amz-checksum-crc32c", "mnG7TA=="}};
  const struct ome_kv kms[] = {{"etag", "\"" MD5 "\""}, {"x-amz-server-side-encryption", "aws:kms"}};
  const struct ome_kv parts[] = {{"etag", "\"" MD5 "-3\""}, {"x-amz-meta-md5chksum", "XUFAKrxLKna5cZ2REBfFkg=="}};
  const struct ome_kv s3cmd[] = {{"etag", "\"" MD5 "-3\""}, {"x-amz-meta-s3cmd-attrs", "atime:1/md5:" MD5 "/mode:3"}};
  const struct ome_kv odd[] = {{"etag", "W/\"" MD5 "\""}, {"x-amz-checksum-sha256", "short"}};

  (void)state;
  expect(plain, 2, OME_DIGEST_MD5, MD5, 0);
  expect(plain + 1, 1, OME_DIGEST_CRC32C, "9a71bb4c", 0);
  expect(kms, 2, OME_DIGEST_NONE, "", 0);
  expect(parts, 1, OME_DIGEST_MD5 | OME_DIGEST_OF_PARTS, MD5, 3);
  expect(parts, 2, OME_DIGEST_MD5, MD5, 0);
  expect(s3cmd, 2, OME_DIGEST_MD5, MD5, 0);
  expect(odd, 2, OME_DIGEST_NONE, "", 0);
  assert_true(s3_parts_fit(17, 8, 3));
  assert_true(s3_parts_fit(16, 8, 2));
  assert_false(s3_parts_fit(17, 17, 3));
  assert_false(s3_parts_fit(0, 8, 1));
}

static void profiles(void **state) {
  static const char text[] = "# keys\n[default]\r\nregion = eu-west-1 \r\ns3 =\n  addressing_style = path\n"
                             "[ profile team ]\nregion=\n[default]\nregion=us-east-2\n";
  char out[16];

  (void)state;
  assert_int_equal(aws_profile_get(text, "default", "region", out, sizeof(out)), 1);
  assert_string_equal(out, "us-east-2");
  assert_int_equal(aws_profile_get(text, "default", "s3.addressing_style", out, sizeof(out)), 1);
  assert_string_equal(out, "path");
  assert_int_equal(aws_profile_get(text, "default", "addressing_style", out, sizeof(out)), 0);
  assert_int_equal(aws_profile_get(text, "profile team", "region", out, sizeof(out)), 0);
  assert_int_equal(aws_profile_get(text, "default", "region", out, 4), -1);
  assert_true(aws_profile_has(text, "profile team"));
  assert_false(aws_profile_has(text, "team"));
  assert_int_equal(aws_time("1970-01-01T00:01:00Z"), 60);
  assert_int_equal(aws_time("1970-01-01T00:01:00.5Z"), 60);
  assert_int_equal(aws_time("1970-01-01T00:01:00UTC"), 60);
  assert_int_equal(aws_time("soon"), 0);
}

/* ---- programs that print credentials ----------------------------------------------------------------------------- */

static void words(void **state) {
  static const struct {
    const char *text;
    int n;
    const char *words[4];
  } rows[] = {
      {"/bin/helper --account 1", 3, {"/bin/helper", "--account", "1"}},
      {"  a\t'b c'\"d e\"f  ", 2, {"a", "b cd ef"}},
      {"a\\ b \"c\\\"d\" 'e\\f'", 3, {"a b", "c\"d", "e\\f"}},
      {"\"\" x", 2, {"", "x"}},
      {"", 0, {NULL}},
      {"a 'b", -1, {NULL}},
      {"a b c d e", -1, {NULL}},
  };
  char text[64], *out[5];

  (void)state;
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    (void)strcpy(text, rows[i].text);
    assert_int_equal(process_words(text, out, 5), rows[i].n);
    for (int k = 0; k < rows[i].n; k++)
      assert_string_equal(out[k], rows[i].words[k]);
  }
}

static int times_asked;

static int32_t is_over(const struct ome_call *call) {
  (void)call;
  return ++times_asked > 2;
}

static int32_t run(const char *command, char **out, struct ome_err *err) {
  static char mine[] = "MINE=this", home[] = "HOME=/theirs";
  char *const also[] = {mine, home, NULL};
  const struct process p = {.what = "w", .command = command, .also = also, .longest_s = 60};

  return process_run(NULL, &p, out, err);
}

static void programs(void **state) {
  static const struct {
    const char *command, *word;
    int32_t code;
  } rows[] = {
      {"/absent/helper --secret", "/absent/helper cannot be run", OME_E_DENIED},
      {"sh -c 'exit 7'", "status 7", OME_E_DENIED},
      {"head -c 100000 /dev/zero", "more than credentials", OME_E_DENIED},
      {"sh 'x", "quote", OME_E_INVALID},
  };
  struct ome_err err;
  char *out;

  (void)state;
  assert_int_equal(run("printf '%s' \"a b\"", &out, &err), OME_OK);
  assert_string_equal(out, "a b");
  free(out);
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    assert_int_equal(run(rows[i].command, &out, &err), rows[i].code);
    assert_non_null(strstr(err.msg, rows[i].word));
    assert_null(strstr(err.msg, "--secret"));
    assert_null(out);
  }
  assert_int_equal(run("sh -c 'echo $MINE $HOME'", &out, &err), OME_OK);
  assert_string_equal(out, "this /theirs\n");
  free(out);
  const struct ome_call call = {.struct_size = sizeof(call), .cancelled = is_over};
  const struct process endless = {.what = "w", .command = "sh -c 'sleep 1000'", .longest_s = 60};
  assert_int_equal(process_run(&call, &endless, &out, &err), OME_E_CANCELLED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(uris),    cmocka_unit_test(addresses), cmocka_unit_test(listings), cmocka_unit_test(xml),
      cmocka_unit_test(digests), cmocka_unit_test(profiles),  cmocka_unit_test(words),    cmocka_unit_test(programs),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
