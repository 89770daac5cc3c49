#include "cli/cli.h"

int main(int argc, char** argv) { return puna::cli::Main(argc, argv); }
