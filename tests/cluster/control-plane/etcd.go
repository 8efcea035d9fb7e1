package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd runs a single etcd member that does not wait for the disk: what it holds is gone with the
// cluster anyway, and fsync is most of what a test would otherwise wait for.
func runEtcd() int {
	flags := flag.NewFlagSet("etcd", flag.ExitOnError)
	directory := flags.String("data-dir", "", "where etcd keeps its data")
	client := flags.String("client-url", "", "where etcd listens for clients, as an URL on loopback")
	peer := flags.String("peer-url", "", "where etcd listens for peers, as an URL on loopback")
	_ = flags.Parse(os.Args[1:])

	config := embed.NewConfig()
	config.Dir = *directory
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	config.QuotaBackendBytes = 8 << 30
	config.AutoCompactionMode = "periodic"
	config.AutoCompactionRetention = "30m"
	for _, listener := range []struct {
		flag string
		urls []*[]url.URL
	}{
		{*client, []*[]url.URL{&config.ListenClientUrls, &config.AdvertiseClientUrls}},
		{*peer, []*[]url.URL{&config.ListenPeerUrls, &config.AdvertisePeerUrls}},
	} {
		parsed, err := url.Parse(listener.flag)
		if err != nil {
			fmt.Fprintf(os.Stderr, "etcd: %q is not an URL: %v\n", listener.flag, err)
			return 2
		}
		for _, urls := range listener.urls {
			*urls = []url.URL{*parsed}
		}
	}
	config.InitialCluster = config.InitialClusterFromName(config.Name)

	server, err := embed.StartEtcd(config)
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcd: %v\n", err)
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		server.Close()
		return 0
	case err := <-server.Err():
		fmt.Fprintf(os.Stderr, "etcd: %v\n", err)
		return 1
	}
}
