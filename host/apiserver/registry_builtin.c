#include "apiserver/registry_builtin.h"

#define CORE "", "v1"
#define ADMISSION "admissionregistration.k8s.io", "v1"
#define EXTENSIONS "apiextensions.k8s.io", "v1"
#define REGISTRATION "apiregistration.k8s.io", "v1"
#define APPS "apps", "v1"
#define AUTHENTICATION "authentication.k8s.io", "v1"
#define AUTHORIZATION "authorization.k8s.io", "v1"
#define HPA "autoscaling", "v2"
#define HPA_V1 "autoscaling", "v1"
#define BATCH "batch", "v1"
#define COORDINATION "coordination.k8s.io", "v1"
#define DISCOVERY "discovery.k8s.io", "v1"
#define EVENTS "events.k8s.io", "v1"
#define NETWORKING "networking.k8s.io", "v1"
#define POLICY "policy", "v1"
#define RBAC "rbac.authorization.k8s.io", "v1"
#define SCHEDULING "scheduling.k8s.io", "v1"
#define STORAGE "storage.k8s.io", "v1"

#define NONE                                                                                                           \
  { NULL }
#define ALL                                                                                                            \
  { "all" }
#define API                                                                                                            \
  { "api-extensions" }

enum { CLUSTER, NAMESPACED };
enum {
  STATUS = SUB_STATUS,
  SCALE = SUB_SCALE,
  LOG = SUB_LOG,
  BINDING = SUB_BINDING,
  EVICTION = SUB_EVICTION,
  FINALIZE = SUB_FINALIZE,
  TOKEN = SUB_TOKEN,
};
enum {
  NO_GENERATION = RES_NO_GENERATION,
  VIRTUAL = RES_VIRTUAL,
  NO_COLLECTION_DELETE = RES_NO_COLLECTION_DELETE,
  PATH_NAMES = RES_PATH_NAMES,
  LABEL_NAMES = RES_LABEL_NAMES,
  PUT_CREATES = RES_PUT_CREATES,
};

const struct builtin_resource builtin_resources[] = {
    {CORE, "Binding", "bindings", NONE, NONE, NAMESPACED, 0, VIRTUAL},
    {CORE, "ConfigMap", "configmaps", {"cm"}, NONE, NAMESPACED, 0, NO_GENERATION},
    {CORE, "Endpoints", "endpoints", {"ep"}, NONE, NAMESPACED, 0, PUT_CREATES | NO_GENERATION},
    {CORE, "Event", "events", {"ev"}, NONE, NAMESPACED, 0, PUT_CREATES | NO_GENERATION},
    {CORE, "LimitRange", "limitranges", {"limits"}, NONE, NAMESPACED, 0, PUT_CREATES | NO_GENERATION},
    {CORE,
     "Namespace",
     "namespaces",
     {"ns"},
     NONE,
     CLUSTER,
     STATUS | FINALIZE,
     NO_GENERATION | NO_COLLECTION_DELETE | LABEL_NAMES},
    {CORE, "Node", "nodes", {"no"}, NONE, CLUSTER, STATUS, NO_GENERATION},
    {CORE, "PersistentVolumeClaim", "persistentvolumeclaims", {"pvc"}, NONE, NAMESPACED, STATUS, NO_GENERATION},
    {CORE, "PersistentVolume", "persistentvolumes", {"pv"}, NONE, CLUSTER, STATUS, NO_GENERATION},
    {CORE, "Pod", "pods", {"po"}, ALL, NAMESPACED, STATUS | LOG | BINDING | EVICTION, NO_GENERATION},
    {CORE, "PodTemplate", "podtemplates", NONE, NONE, NAMESPACED, 0, 0},
    {CORE, "ReplicationController", "replicationcontrollers", {"rc"}, ALL, NAMESPACED, STATUS | SCALE, 0},
    {CORE, "ResourceQuota", "resourcequotas", {"quota"}, NONE, NAMESPACED, STATUS, NO_GENERATION},
    {CORE, "Secret", "secrets", NONE, NONE, NAMESPACED, 0, NO_GENERATION},
    {CORE, "ServiceAccount", "serviceaccounts", {"sa"}, NONE, NAMESPACED, TOKEN, NO_GENERATION},
    {CORE, "Service", "services", {"svc"}, ALL, NAMESPACED, STATUS, PUT_CREATES | NO_GENERATION | LABEL_NAMES},
    {ADMISSION, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", NONE, API, CLUSTER, 0, 0},
    {ADMISSION, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", NONE, API, CLUSTER, 0, 0},
    {EXTENSIONS, "CustomResourceDefinition", "customresourcedefinitions", {"crd", "crds"}, API, CLUSTER, STATUS, 0},
    {REGISTRATION, "APIService", "apiservices", NONE, API, CLUSTER, STATUS, 0},
    {APPS, "ControllerRevision", "controllerrevisions", NONE, NONE, NAMESPACED, 0, NO_GENERATION},
    {APPS, "DaemonSet", "daemonsets", {"ds"}, ALL, NAMESPACED, STATUS, 0},
    {APPS, "Deployment", "deployments", {"deploy"}, ALL, NAMESPACED, STATUS | SCALE, 0},
    {APPS, "ReplicaSet", "replicasets", {"rs"}, ALL, NAMESPACED, STATUS | SCALE, 0},
    {APPS, "StatefulSet", "statefulsets", {"sts"}, ALL, NAMESPACED, STATUS | SCALE, 0},
    {AUTHENTICATION, "TokenReview", "tokenreviews", NONE, NONE, CLUSTER, 0, VIRTUAL},
    {AUTHORIZATION, "LocalSubjectAccessReview", "localsubjectaccessreviews", NONE, NONE, NAMESPACED, 0, VIRTUAL},
    {AUTHORIZATION, "SelfSubjectAccessReview", "selfsubjectaccessreviews", NONE, NONE, CLUSTER, 0, VIRTUAL},
    {AUTHORIZATION, "SelfSubjectRulesReview", "selfsubjectrulesreviews", NONE, NONE, CLUSTER, 0, VIRTUAL},
    {AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews", NONE, NONE, CLUSTER, 0, VIRTUAL},
    {HPA, "HorizontalPodAutoscaler", "horizontalpodautoscalers", {"hpa"}, ALL, NAMESPACED, STATUS, NO_GENERATION},
    {HPA_V1, "HorizontalPodAutoscaler", "horizontalpodautoscalers", {"hpa"}, ALL, NAMESPACED, STATUS, NO_GENERATION},
    {BATCH, "CronJob", "cronjobs", {"cj"}, ALL, NAMESPACED, STATUS, 0},
    {BATCH, "Job", "jobs", NONE, ALL, NAMESPACED, STATUS, 0},
    {COORDINATION, "Lease", "leases", NONE, NONE, NAMESPACED, 0, PUT_CREATES | NO_GENERATION},
    {DISCOVERY, "EndpointSlice", "endpointslices", NONE, NONE, NAMESPACED, 0, 0},
    {EVENTS, "Event", "events", {"ev"}, NONE, NAMESPACED, 0, PUT_CREATES | NO_GENERATION},
    {NETWORKING, "IngressClass", "ingressclasses", NONE, NONE, CLUSTER, 0, 0},
    {NETWORKING, "Ingress", "ingresses", {"ing"}, NONE, NAMESPACED, STATUS, 0},
    {NETWORKING, "NetworkPolicy", "networkpolicies", {"netpol"}, NONE, NAMESPACED, 0, 0},
    {POLICY, "PodDisruptionBudget", "poddisruptionbudgets", {"pdb"}, NONE, NAMESPACED, STATUS, 0},
    {RBAC, "ClusterRoleBinding", "clusterrolebindings", NONE, NONE, CLUSTER, 0,
     PUT_CREATES | NO_GENERATION | PATH_NAMES},
    {RBAC, "ClusterRole", "clusterroles", NONE, NONE, CLUSTER, 0, PUT_CREATES | NO_GENERATION | PATH_NAMES},
    {RBAC, "RoleBinding", "rolebindings", NONE, NONE, NAMESPACED, 0, PUT_CREATES | NO_GENERATION | PATH_NAMES},
    {RBAC, "Role", "roles", NONE, NONE, NAMESPACED, 0, PUT_CREATES | NO_GENERATION | PATH_NAMES},
    {SCHEDULING, "PriorityClass", "priorityclasses", {"pc"}, NONE, CLUSTER, 0, 0},
    {STORAGE, "StorageClass", "storageclasses", {"sc"}, NONE, CLUSTER, 0, NO_GENERATION},
};

const size_t nbuiltin_resources = ARRAY_LEN(builtin_resources);
