/* The thread sanitizer of g++ 12 and clang 19 does not know the C11 threads that Debian's
   librdkafka uses: it crashes, and takes what their locks order for races. These forward to
   pthreads, which it knows. In glibc a mtx_t is a pthread_mutex_t and a cnd_t a pthread_cond_t. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

struct start {
  thrd_start_t run;
  void* argument;
};

static void* run_start(void* given) {
  struct start start = *(struct start*)given;
  free(given);
  return (void*)(intptr_t)start.run(start.argument);
}

static int status(int error) {
  if (error == EBUSY) return thrd_busy;
  if (error == ETIMEDOUT) return thrd_timedout;
  return error == 0 ? thrd_success : thrd_error;
}

int thrd_create(thrd_t* thread, thrd_start_t run, void* argument) {
  struct start* start = malloc(sizeof *start);
  if (start == NULL) return thrd_nomem;
  start->run = run;
  start->argument = argument;
  int error = pthread_create((pthread_t*)thread, NULL, run_start, start);
  if (error != 0) free(start);
  return status(error);
}

int thrd_join(thrd_t thread, int* result) {
  void* value = NULL;
  int error = pthread_join((pthread_t)thread, &value);
  if (result != NULL) *result = (int)(intptr_t)value;
  return status(error);
}

int thrd_detach(thrd_t thread) { return status(pthread_detach((pthread_t)thread)); }

int mtx_init(mtx_t* mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  if (type & mtx_recursive) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  int error = pthread_mutex_init((pthread_mutex_t*)mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  return status(error);
}

int mtx_lock(mtx_t* mutex) { return status(pthread_mutex_lock((pthread_mutex_t*)mutex)); }
int mtx_trylock(mtx_t* mutex) { return status(pthread_mutex_trylock((pthread_mutex_t*)mutex)); }
int mtx_unlock(mtx_t* mutex) { return status(pthread_mutex_unlock((pthread_mutex_t*)mutex)); }
void mtx_destroy(mtx_t* mutex) { pthread_mutex_destroy((pthread_mutex_t*)mutex); }

int cnd_init(cnd_t* condition) {
  return status(pthread_cond_init((pthread_cond_t*)condition, NULL));
}
int cnd_signal(cnd_t* condition) { return status(pthread_cond_signal((pthread_cond_t*)condition)); }
int cnd_broadcast(cnd_t* condition) {
  return status(pthread_cond_broadcast((pthread_cond_t*)condition));
}
int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  return status(pthread_cond_wait((pthread_cond_t*)condition, (pthread_mutex_t*)mutex));
}
int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const struct timespec* until) {
  return status(pthread_cond_timedwait((pthread_cond_t*)condition, (pthread_mutex_t*)mutex, until));
}
void cnd_destroy(cnd_t* condition) { pthread_cond_destroy((pthread_cond_t*)condition); }
