package main

import (
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeKubeconfig writes the file with which one user reaches the server. It holds the token, so only the owner can read it (mode 0600).
func writeKubeconfig(path, server string, ca []byte, who user) error {
	const name = "testbed"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[who.Name] = &clientcmdapi.AuthInfo{Token: who.token}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: who.Name}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, path)
}
