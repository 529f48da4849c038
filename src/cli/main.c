/* The program: finds the sub-command and turns its result into an exit code. */
#include <stdio.h>

#include <coppice/version.h>

int main(void) {
    printf("coppice %s\n", coppice_version());
    return 0;
}
