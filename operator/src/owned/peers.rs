//! Where a place leads, found in the API server now: a Service to its pods, one without a selector to its endpoints.
//! A `ClusterIP` itself is no peer: it is translated before a policy is looked at.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ListParams;
use kube::{Api, Client};

use super::place::{Destination, Place};

/// A destination as a network policy can say it.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// Who.
    pub to: To,
    /// Port at the peer itself: a number, or the name of a container's port.
    pub port: IntOrString,
    /// Also by UDP.
    pub udp: bool,
}

/// Who is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum To {
    /// Pods.
    Pods {
        /// Their namespace.
        namespace: String,
        /// Their labels.
        labels: BTreeMap<String, String>,
    },
    /// Addresses.
    Addresses(Vec<IpAddr>),
    /// Anyone on the internet, since only the name is known.
    Anywhere {
        /// The name.
        name: String,
        /// Also private addresses; never loopback, link-local and metadata.
        private: bool,
    },
}

/// What became of a destination.
#[derive(Debug, Clone, PartialEq)]
pub enum Looked {
    /// It leads there.
    Found(Peer),
    /// There is no such Service, or it has no such port, or no endpoint yet.
    Missing(String),
}

/// Looks a destination up.
pub async fn look_up(client: &Client, destination: &Destination) -> Result<Looked, kube::Error> {
    let Destination { place, port, udp } = destination;
    let (port, udp) = (*port, *udp);
    let to_number = |to| Peer { to, port: IntOrString::Int(port.into()), udp };
    match place {
        Place::Address(address) => Ok(Looked::Found(to_number(To::Addresses(vec![*address])))),
        Place::Name { name, private } => {
            Ok(Looked::Found(to_number(To::Anywhere { name: name.clone(), private: *private })))
        }
        Place::Service { namespace, name } => {
            let services: Api<Service> = Api::namespaced(client.clone(), namespace);
            let missing = Ok(Looked::Missing(format!("{name}.{namespace}")));
            let service = match services.get_opt(name).await {
                Ok(Some(service)) => service,
                Ok(None) => return missing,
                // An operator of some namespaces may not look into others.
                Err(kube::Error::Api(status)) if status.code == 403 => return missing,
                Err(error) => return Err(error),
            };
            let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
            let slices = if has_selector(&service) {
                Vec::new()
            } else {
                let parameters = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
                slices.list(&parameters).await?.items
            };
            let found = of_service(&service, &slices, namespace, port, udp);
            found.map_or(missing, |peer| Ok(Looked::Found(peer)))
        }
    }
}

fn has_selector(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).is_some_and(|labels| !labels.is_empty())
}

/// Where a Service's port leads.
fn of_service(service: &Service, slices: &[EndpointSlice], namespace: &str, port: u16, udp: bool) -> Option<Peer> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        let to = To::Anywhere { name: spec.external_name.clone()?, private: false };
        return Some(Peer { to, port: IntOrString::Int(port.into()), udp });
    }
    let declared = spec.ports.iter().flatten().find(|declared| declared.port == i32::from(port))?;
    if has_selector(service) {
        let labels = spec.selector.clone()?;
        let port = declared.target_port.clone().unwrap_or(IntOrString::Int(declared.port));
        return Some(Peer { to: To::Pods { namespace: namespace.to_owned(), labels }, port, udp });
    }
    of_slices(declared, slices, udp)
}

fn of_slices(declared: &ServicePort, slices: &[EndpointSlice], udp: bool) -> Option<Peer> {
    let mut addresses = Vec::new();
    let mut port = None;
    for slice in slices {
        let same = |name: Option<&str>| name.unwrap_or_default() == declared.name.as_deref().unwrap_or_default();
        let Some(at) = slice.ports.iter().flatten().find(|port| same(port.name.as_deref())) else { continue };
        port = port.or(at.port);
        addresses.extend(slice.endpoints.iter().flatten().flat_map(|endpoint| &endpoint.addresses).filter_map(
            |text| {
                // An endpoint that is a name has no address of its own.
                text.parse::<IpAddr>().ok()
            },
        ));
    }
    addresses.sort();
    addresses.dedup();
    let port = IntOrString::Int(port?);
    (!addresses.is_empty()).then_some(Peer { to: To::Addresses(addresses), port, udp })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: &Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "erp"}, "spec": spec})).unwrap()
    }

    #[test]
    fn a_service_leads_to_its_pods_at_their_own_port() {
        let pods = service(&json!({"selector": {"app": "erp"}, "ports": [{"port": 80, "targetPort": "web"},
            {"port": 81, "targetPort": 8081}, {"port": 82}]}));
        let found = |port| of_service(&pods, &[], "books", port, false).map(|peer| peer.port);
        assert_eq!(found(80), Some(IntOrString::String("web".to_owned())));
        assert_eq!(found(81), Some(IntOrString::Int(8081)));
        assert_eq!(found(82), Some(IntOrString::Int(82)));
        assert_eq!(found(83), None, "the Service has no such port");
    }

    #[test]
    fn a_service_without_selector_leads_to_its_endpoints() {
        let dns = service(&json!({"clusterIP": "10.96.0.10", "ports": [{"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]}));
        let slice: EndpointSlice = serde_json::from_value(json!({"metadata": {}, "addressType": "IPv4",
            "ports": [{"name": "dns", "port": 5353, "protocol": "UDP"}],
            "endpoints": [{"addresses": ["10.99.0.1"]}, {"addresses": ["10.99.0.1"]}, {"addresses": ["x.example"]}]}))
        .unwrap();
        let found = of_service(&dns, &[slice], "kube-system", 53, true).unwrap();
        assert_eq!(found.to, To::Addresses(vec!["10.99.0.1".parse().unwrap()]));
        assert_eq!((found.port, found.udp), (IntOrString::Int(5353), true));
        assert_eq!(of_service(&dns, &[], "kube-system", 53, true), None, "no endpoint yet");
    }

    #[test]
    fn an_external_name_is_as_wide_as_its_name() {
        let outside = service(&json!({"type": "ExternalName", "externalName": "erp.example"}));
        let to = of_service(&outside, &[], "books", 443, false).unwrap().to;
        assert_eq!(to, To::Anywhere { name: "erp.example".to_owned(), private: false });
    }
}
