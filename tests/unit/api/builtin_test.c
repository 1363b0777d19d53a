#include "../unit.h"

#include "documents.h"

#include "api/builtin.h"

#define POD_SPEC "'containers':[{'name':'a','image':'i'}]"
#define TEMPLATE                                                                                                       \
  "'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':{" POD_SPEC "}}"

/* ---- defaults --------------------------------------------------------------------------------------------------- */

static struct json_object *defaulted(const char *group, const char *version, const char *kind, const char *object) {
  struct json_object *o = doc(object);

  api_default(group, kind, o, NULL);
  schema_default(schema_builtin(group, version, kind), o);
  return o;
}

static void test_pod_defaults(UNUSED void **state) {
  _cleanup_json_ struct json_object *o = defaulted(
      "", "v1", "Pod",
      "{'spec':{'serviceAccountName':'sa','volumes':[{'name':'v'}],'containers':[{'name':'a','image':'x:1',"
      "'ports':[{'containerPort':80}],'resources':{'limits':{'cpu':'1'}}},{'name':'b','image':'host:5000/x'}]}}");

  assert_document(o, "{'spec':{'serviceAccountName':'sa','serviceAccount':'sa','volumes':[{'name':'v','emptyDir':{}}],"
                     "'containers':[{'name':'a','image':'x:1','ports':[{'containerPort':80,'protocol':'TCP'}],"
                     "'resources':{'limits':{'cpu':'1'},'requests':{'cpu':'1'}},'imagePullPolicy':'IfNotPresent',"
                     "'terminationMessagePath':'/dev/termination-log','terminationMessagePolicy':'File'},"
                     "{'name':'b','image':'host:5000/x','imagePullPolicy':'Always','resources':{},"
                     "'terminationMessagePath':'/dev/termination-log','terminationMessagePolicy':'File'}],"
                     "'enableServiceLinks':true,'restartPolicy':'Always','dnsPolicy':'ClusterFirst',"
                     "'terminationGracePeriodSeconds':30,'schedulerName':'default-scheduler','securityContext':{}},"
                     "'status':{'phase':'Pending','qosClass':'Burstable'}}");
}

static void test_workload_defaults(UNUSED void **state) {
  _cleanup_json_ struct json_object *d = defaulted("apps", "v1", "Deployment", "{'spec':{" TEMPLATE "}}");
  _cleanup_json_ struct json_object *r =
      defaulted("apps", "v1", "Deployment", "{'spec':{'strategy':{'type':'Recreate'}," TEMPLATE "}}");
  _cleanup_json_ struct json_object *j = defaulted(
      "batch", "v1", "Job", "{'metadata':{'name':'j','uid':'u'},'spec':{'template':{'spec':{" POD_SPEC "}}}}");

  assert_document(json_at(d, "spec.strategy"),
                  "{'type':'RollingUpdate','rollingUpdate':{'maxSurge':'25%','maxUnavailable':'25%'}}");
  assert_int_equal(json_i64(d, "spec.replicas", 0), 1);
  assert_document(json_at(r, "spec.strategy"), "{'type':'Recreate'}");
  assert_int_equal(json_i64(j, "spec.completions", 0), 1);
  assert_int_equal(json_i64(j, "spec.backoffLimit", 0), 6);
  assert_string_equal(json_str(json_at(j, "spec.template.metadata.labels"), "job-name", ""), "j");
}

static void test_other_defaults(UNUSED void **state) {
  _cleanup_json_ struct json_object *service = defaulted("", "v1", "Service", "{'spec':{'ports':[{'port':80}]}}");
  _cleanup_json_ struct json_object *secret =
      defaulted("", "v1", "Secret", "{'data':{'a':'MQ=='},'stringData':{'a':'2','b':'3'}}");
  _cleanup_json_ struct json_object *hpa = defaulted("autoscaling", "v2", "HorizontalPodAutoscaler", "{'spec':{}}");

  assert_document(service, "{'spec':{'ports':[{'port':80,'targetPort':80,'protocol':'TCP'}],'type':'ClusterIP',"
                           "'internalTrafficPolicy':'Cluster','sessionAffinity':'None'}}");
  assert_document(secret, "{'data':{'a':'Mg==','b':'Mw=='},'type':'Opaque'}");
  assert_document(hpa, "{'spec':{'minReplicas':1,'metrics':[{'type':'Resource','resource':{'name':'cpu','target':"
                       "{'type':'Utilization','averageUtilization':80}}}]}}");
}

/* ---- rules ------------------------------------------------------------------------------------------------------ */

#define IN_DEPLOYMENT(spec)                                                                                            \
  "{'spec':{'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':{" spec "}}}}"
#define AT "spec.template.spec."

static const struct {
  const char *group, *kind, *object;
  const char *error; /* how the first one begins; NULL: none */
} faults[] = {
    {"apps", "Deployment", "{'spec':{" TEMPLATE "}}", NULL},
    {"apps", "Deployment", "{'spec':{'selector':{'matchLabels':{'x':'y'}},'template':{'spec':{" POD_SPEC "}}}}",
     "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`"},
    {"apps", "Deployment", IN_DEPLOYMENT("'containers':[]"), AT "containers: Required value"},
    {"apps", "Deployment", IN_DEPLOYMENT("'containers':[{'name':'A_b','image':'i'}]"),
     AT "containers[0].name: Invalid value: \"A_b\": a lowercase RFC 1123 label"},
    {"apps", "Deployment", IN_DEPLOYMENT("'containers':[{'name':'a','image':'i'},{'name':'a','image':'i'}]"),
     AT "containers[1].name: Duplicate value: \"a\""},
    {"apps", "Deployment", IN_DEPLOYMENT("'containers':[{'name':'a'}]"), AT "containers[0].image: Required value"},
    {"apps", "Deployment", IN_DEPLOYMENT("'containers':[{'name':'a','image':'i','ports':[{'containerPort':70000}]}]"),
     AT "containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"},
    {"apps", "Deployment",
     IN_DEPLOYMENT("'containers':[{'name':'a','image':'i','volumeMounts':[{'name':'none','mountPath':'/x'}]}]"),
     AT "containers[0].volumeMounts[0].name: Not found: \"none\""},
    {"apps", "Deployment",
     IN_DEPLOYMENT("'containers':[{'name':'a','image':'i','resources':{'limits':{'cpu':'1'},'requests':{'cpu':'2'}}}]"),
     AT "containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"},
    {"apps", "Deployment", IN_DEPLOYMENT("'restartPolicy':'Never'," POD_SPEC),
     AT "restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""},
    {"apps", "Deployment", "{'spec':{'strategy':{'type':'Recreate','rollingUpdate':{}}," TEMPLATE "}}",
     "spec.strategy.rollingUpdate: Forbidden"},
    {"", "Pod",
     "{'spec':{'containers':[{'name':'a','image':'i','resources':{'limits':{'nvidia.com/gpu':'500m'},"
     "'requests':{'nvidia.com/gpu':'500m'}}}]}}",
     "spec.containers[0].resources.limits[nvidia.com/gpu]: Invalid value: \"500m\": must be an integer"},
    {"", "Pod", "{'spec':{'containers':[{'name':'a','image':'i','resources':{'limits':{'gpu':'1'}}}]}}",
     "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type"},
    {"", "Pod", "{'spec':{'volumes':[{'name':'v'},{'name':'v'}]," POD_SPEC "}}",
     "spec.volumes[1].name: Duplicate value: \"v\""},
    {"", "Service", "{'spec':{'ports':[]}}", "spec.ports: Required value"},
    {"", "Service", "{'spec':{'ports':[{'port':1},{'port':2}]}}", "spec.ports[0].name: Required value"},
    {"", "Service", "{'spec':{'ports':[{'name':'a','port':1},{'name':'a','port':2}]}}",
     "spec.ports[1].name: Duplicate value: \"a\""},
    {"", "Service", "{'spec':{'ports':[{'port':0}]}}",
     "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"},
    {"", "ConfigMap", "{'data':{'a':'1'},'binaryData':{'a':'MQ=='}}",
     "data[a]: Invalid value: \"a\": duplicate of key present in binaryData"},
    {"", "ConfigMap", "{'data':{'a/b':'1'}}", "data[a/b]: Invalid value: \"a/b\": a valid config key"},
    {"", "Secret", "{'type':'kubernetes.io/tls'}", "data[tls.crt]: Required value"},
    {"", "Secret", "{'type':'kubernetes.io/dockerconfigjson','data':{'.dockerconfigjson':'bm8='}}",
     "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\""},
    {"", "PersistentVolumeClaim", "{'spec':{'resources':{'requests':{'storage':'1Gi'}}}}",
     "spec.accessModes: Required value"},
    {"batch", "Job", "{'spec':{'template':{'spec':{'restartPolicy':'Always'," POD_SPEC "}}}}",
     AT "restartPolicy: Unsupported value: \"Always\""},
    {"autoscaling", "HorizontalPodAutoscaler", "{'spec':{'minReplicas':5,'maxReplicas':3}}",
     "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"},
    {"policy", "PodDisruptionBudget", "{'spec':{'minAvailable':1,'maxUnavailable':1}}", "spec: Invalid value"},
    {"policy", "PodDisruptionBudget", "{'spec':{'minAvailable':'fifty'}}",
     "spec.minAvailable: Invalid value: \"fifty\": a valid percent string"},
    {"coordination.k8s.io", "Lease", "{'spec':{'leaseDurationSeconds':0}}",
     "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"},
    {"rbac.authorization.k8s.io", "Role", "{'rules':[{'apiGroups':[''],'resources':['pods']}]}",
     "rules[0].verbs: Required value"},
};

static void test_rules(UNUSED void **state) {
  for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
    _cleanup_json_ struct json_object *o = doc(faults[i].object);
    struct field_errors errors = {{0}};
    api_validate(faults[i].group, faults[i].kind, o, NULL, &errors);
    _cleanup_free_ char *text = error_text(&errors);
    if (faults[i].error ? !has_prefix(text, faults[i].error) : *text != '\0')
      fail_msg("%s %s:\n got \"%s\"\nnot \"%s\"", faults[i].kind, faults[i].object, text, faults[i].error);
  }
}

static const struct {
  const char *group, *kind, *old, *now, *error;
} changes[] = {
    {"", "ConfigMap", "{'data':{'a':'1'},'immutable':true}", "{'data':{'a':'2'},'immutable':true}", "data: Forbidden"},
    {"", "Secret", "{'type':'a/b'}", "{'type':'c/d'}", "type: Invalid value: \"c/d\": field is immutable"},
    {"", "Service", "{'spec':{'clusterIP':'10.0.0.1','ports':[{'port':1}]}}",
     "{'spec':{'clusterIP':'10.0.0.2','ports':[{'port':1}]}}", "spec.clusterIP: Invalid value"},
    {"", "Pod", "{'spec':{" POD_SPEC "}}", "{'spec':{'nodeName':'n'," POD_SPEC "}}", "spec: Forbidden: pod updates"},
    {"", "Pod", "{'spec':{" POD_SPEC "}}", "{'spec':{'containers':[{'name':'a','image':'other'}]}}", ""},
    {"", "PersistentVolumeClaim",
     "{'spec':{'accessModes':['ReadWriteOnce'],'storageClassName':'a','resources':{'requests':{'storage':'1Gi'}}}}",
     "{'spec':{'accessModes':['ReadWriteOnce'],'storageClassName':'b','resources':{'requests':{'storage':'1Gi'}}}}",
     "spec: Forbidden: spec is immutable"},
    {"rbac.authorization.k8s.io", "RoleBinding", "{'roleRef':{'name':'a'}}", "{'roleRef':{'name':'b'}}",
     "roleRef: Invalid value"},
};

static void test_changes(UNUSED void **state) {
  for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
    _cleanup_json_ struct json_object *old = doc(changes[i].old);
    _cleanup_json_ struct json_object *now = doc(changes[i].now);
    struct field_errors errors = {{0}};
    api_validate(changes[i].group, changes[i].kind, now, old, &errors);
    _cleanup_free_ char *text = error_text(&errors);
    if (*changes[i].error ? !has_prefix(text, changes[i].error) : *text != '\0')
      fail_msg("%s: got \"%s\", not \"%s\"", changes[i].kind, text, changes[i].error);
  }
}

static void test_size(UNUSED void **state) {
  static char big[(1u << 20) + 2];
  _cleanup_json_ struct json_object *o = doc("{'data':{'a':'1'}}");
  struct field_errors errors = {{0}};

  memset(big, 'x', sizeof(big) - 1);
  assert_true(json_set_str(o, "data.a", big));
  api_validate("", "ConfigMap", o, NULL, &errors);
  _cleanup_free_ char *text = error_text(&errors);
  assert_string_equal(text, "[]: Too long: must have at most 1048576 bytes");
}

static void test_meta(UNUSED void **state) {
  _cleanup_json_ struct json_object *o =
      doc("{'metadata':{'labels':{'a b':'c','d':'-'},'annotations':{'x/y/z':''},'finalizers':['ok.io/f','no good'],"
          "'ownerReferences':[{'apiVersion':'v1','kind':'Pod','name':'p','uid':''}]}}");
  static const char *const fields[] = {"metadata.labels", "metadata.labels", "metadata.annotations",
                                       "metadata.ownerReferences[0].uid", "metadata.finalizers"};
  struct field_errors errors = {{0}};

  api_validate_meta(o, NULL, &errors);
  assert_int_equal(errors.list.len, ARRAY_LEN(fields));
  for (size_t i = 0; i < ARRAY_LEN(fields); i++)
    assert_string_equal(errors.list.items[i].field, fields[i]);
  field_errors_fini(&errors);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pod_defaults),   cmocka_unit_test(test_workload_defaults),
      cmocka_unit_test(test_other_defaults), cmocka_unit_test(test_rules),
      cmocka_unit_test(test_changes),        cmocka_unit_test(test_size),
      cmocka_unit_test(test_meta),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
