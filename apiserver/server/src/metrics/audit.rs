//! What the auditor counts, as `k8s.io/apiserver/pkg/audit/metrics.go`.

use std::{fmt, sync::Arc};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};

use super::exposition::Label;
use crate::audit::Auditor;

#[derive(Debug)]
pub(super) struct AuditCollector(pub(super) Arc<Auditor>);

impl Collector for AuditCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Audit events that were made and given to the backends";
        let name = "apiserver_audit_event_total";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_gauge(&self.0.events())?;
        let help = "Audit events that a backend lost";
        let name = "apiserver_audit_error_total";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (backend, lost) in self.0.losses() {
            let label: Label = [("plugin", backend)];
            metric.encode_family(&label)?.encode_gauge(&lost)?;
        }
        Ok(())
    }
}
