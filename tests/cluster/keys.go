package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"

	"k8s.io/client-go/util/cert"
)

// writeServiceAccountKey makes the key pair with which the server signs and checks the tokens of service accounts. At level 1 it is the only key the bed makes
// itself: the server makes its own serving certificate.
func writeServiceAccountKey(privatePath, publicPath string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := os.WriteFile(privatePath, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(publicPath, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600)
}

// writeKubeletClient makes the certificate with which the API server shows the kubelet that it is the API server: signed by itself, so that the kubelet can be
// given the very file as the authority to trust. Its group may do everything.
func writeKubeletClient(certificatePath, keyPath string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	about := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "kube-apiserver", Organization: []string{"system:masters"}},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certificatePath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(keyPath, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600)
}

// writeNodeServer makes what the API server would make itself in its folder, certificate and authority in one file, but also for 127.0.0.1, which is where
// programs outside of the node reach it.
func writeNodeServer(certificatePath, keyPath string) error {
	addresses := []net.IP{net.ParseIP(nodeV6), net.ParseIP(firstService), net.IPv4(127, 0, 0, 1)}
	names := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost", nodeName}
	certificate, key, err := cert.GenerateSelfSignedCertKey(nodeV4, addresses, names)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certificatePath, certificate, 0o600); err != nil {
		return err
	}
	return os.WriteFile(keyPath, key, 0o600)
}
