//! A call at a relay: what this pod's own state forbids is refused here, as a plain sidecar refuses it. All else is the
//! gateway's to judge and to record; a call that surely never got there is recorded here.

use aegis_decision::codes::Code;
use aegis_decision::decide;
use aegis_decision::naming::Malformed;
use aegis_decision::record::RecordedExecution;
use aegis_decision::tool::Class;
use jiff::Timestamp;

use super::fault::Unanswered;
use super::relay::Relay;
use crate::answer::{Answer, Problem};
use crate::gate::Call;
use crate::ingress::Arrived;
use crate::record::compose::About;
use crate::state::View;

impl Call {
    /// Brings the gateway's answer, or says why there is none.
    pub(crate) async fn pass_on(&mut self, relay: &Relay, arrived: &Arrived) -> Answer {
        let Some(view) = self.worker.shared.state.view() else { return Code::NotReady.into() };
        if let Some(refused) = self.forbidden(&view, arrived).await {
            return refused;
        }
        let unanswered = match relay.send(arrived, &self.gone).await {
            Ok(answer) => return Answer::Relayed(answer),
            Err(unanswered) => unanswered,
        };
        let code = unanswered.code();
        tracing::warn!(decision = self.id, error = &unanswered as &dyn std::error::Error, "call not relayed");
        match unanswered {
            Unanswered::NotSent(_) => {
                let malformed = Malformed::new(code, code.cause());
                let output = decide::malformed(&view.policy.bundle, arrived.tool(), malformed);
                self.refuse(&view, About::default(), &output).await
            }
            // The gateway recorded that it would send it, if it did: a denial here would contradict it.
            Unanswered::Unknown(_) => {
                let detail = "the gateway did not answer; the call may have taken effect".to_owned();
                Problem::with_detail(code, detail).ended(RecordedExecution::Indeterminate).into()
            }
        }
    }

    /// The refusal of a call for which capture, token or knowledge are not good enough. While they are good enough for any
    /// class, the call need not be named here.
    async fn forbidden(&mut self, view: &View, arrived: &Arrived) -> Option<Answer> {
        let now = Timestamp::now();
        view.is_open_for(Class::Commit, now).err()?;
        let bundle = &view.policy.bundle;
        match bundle.name_call(arrived.tool(), &arrived.http()) {
            Ok(call) => {
                let code = view.is_open_for(call.class, now).err()?;
                let about = bundle.tool(&call.tool).map(|tool| About::new(tool, &call)).unwrap_or_default();
                Some(self.turn_away(view, about, &call, code).await)
            }
            Err(malformed) => {
                let output = decide::malformed(bundle, arrived.tool(), malformed);
                Some(self.refuse(view, About::default(), &output).await)
            }
        }
    }
}
