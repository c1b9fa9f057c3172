/* Preloaded into what is counted: every request for random bytes is answered with the same ones. */
#include <string.h>
#include <sys/types.h>

ssize_t getrandom(void *buffer, size_t length, unsigned int flags) {
  (void)flags;
  memset(buffer, 0x5a, length);
  return (ssize_t)length;
}
