// The command line. It talks to the server over HTTP like any other client; only `serve` (and a
// `run` that starts a server for itself) and the tools eval, bench and synth use the layers below
// directly.
#ifndef PUNA_CLI_CLI_H_
#define PUNA_CLI_CLI_H_

namespace puna::cli {

// The whole program: returns the exit code. Errors are printed as "Error: ..." on standard error.
int Main(int argc, char** argv);

}  // namespace puna::cli

#endif  // PUNA_CLI_CLI_H_
