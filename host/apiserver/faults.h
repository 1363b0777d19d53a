/* Faults on purpose, for tests of clients: off unless the server was started for it.
 *
 * PUT /faults takes what goes wrong from now on, {} that nothing does, and ends the watches that run; GET tells how
 * often it did:
 *
 *   seed                 of the chances below, which makes a run repeatable as far as requests come in the same order
 *   agent                prefix of the User-Agent that is concerned, so that a test's own requests are not; "": all
 *   latencyMs            each request waits up to so long
 *   refuse               chances by status: {"409": 0.1, "429": 0.02, "500": 0.05}; 409 for writes only
 *   retryAfterSeconds    header of the refusals 429 and 503; 0: none
 *   loseAnswers          chance that what was asked is done and the connection closed without a word
 *   truncateAnswers      that it is closed in the middle of the answer
 *   slowAnswers          that an answer comes in sixteen pieces, 20 ms apart
 *   watchLifeMs          a watch ends after up to so long: cleanly, in the middle of an event, or by a closed
 * connection expire               chance that a watch that would go on, or a further page of a list, is answered with
 * 410 clockSkewSeconds     the server's clock goes wrong by so much certificate          "expired": new connections see
 * one; else the right one */
#ifndef HOST_APISERVER_FAULTS_H
#define HOST_APISERVER_FAULTS_H

#include "apiserver/server.h"

struct faults *faults_new(void);
void faults_free(struct faults *f);

/* Whether X was dealt with: it is about the faults, was refused, or comes again later.  Now and below F may be NULL:
 * nothing goes wrong. */
bool faults_request(struct apiserver *s, struct http_exchange *x);
/* Answers X in a way that goes wrong; false: answer it as usual. */
bool faults_answer(struct apiserver *s, struct http_exchange *x, int status, const char *type, const char *body,
                   size_t len);
/* A watch: how long it lives (0: as it should), and whether it is to begin with 410. */
uint64_t faults_watch_life_ms(struct faults *f, const struct http_exchange *x);
bool faults_expire(struct faults *f, const struct http_exchange *x);
/* How such a life ends; a number below N. */
uint32_t faults_pick(struct faults *f, uint32_t n);
int64_t faults_skew_ms(const struct faults *f);

#endif
