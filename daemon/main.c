/* daemon/main.c - start, run, stop
 *
 * Owns:    the order in which everything comes up and goes down
 */
#include "config.h"

int main(int argc, char **argv)
{
    return 0;
}
