// Program argocd is those parts of Argo CD that bring a repository onto a cluster: its repository server and its application
// controller. Which it is says ARGOCD_BINARY_NAME, as with Argo CD's own program, which has its interface for people too
// and takes longer to build.
package main

import (
	"fmt"
	"os"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	repositories "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	parts := map[string]func() *cobra.Command{
		"argocd-repo-server":            repositories.NewCommand,
		"argocd-application-controller": controller.NewCommand,
	}
	name := os.Getenv("ARGOCD_BINARY_NAME")
	part, found := parts[name]
	if !found {
		fmt.Fprintf(os.Stderr, "argocd: ARGOCD_BINARY_NAME is %q; expected argocd-repo-server or argocd-application-controller\n", name)
		os.Exit(2)
	}
	if err := part().Execute(); err != nil {
		os.Exit(1)
	}
}
