/* Versions of formats and frameworks, as OME compares them. */
#ifndef PLUGINS_SCORER_VERSION_H
#define PLUGINS_SCORER_VERSION_H

/* Whether a runtime that declares RUNTIME with OP (Equal, GreaterThan, GreaterThanOrEqual) takes a model that declares
 * MODEL.  The runtime's version is the one that must be greater.  Unofficial versions (with a "-pre", "+build" or
 * ".dev" part) match only what is equal to them; versions of different precision or prefix are not ordered; what does
 * not parse matches nothing; an unknown operator is Equal. */
int version_match(const char *runtime, const char *op, const char *model);

/* What a reason says behind the name of OP: that it is none, and what it is taken for; "" of a known one. */
const char *version_operator_note(const char *op);

#endif
