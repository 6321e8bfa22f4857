//! `#[handler(..)]`: leaves the function as it is, and registers it for the events of one kind.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, Ident, Meta, Result, ReturnType, Signature, Type, Visibility};

use crate::attr;
use crate::faults::Faults;

/// The events of one kind, and the function that runs for them.
struct Handler {
    resource: String,
    event: String,
    function: Function,
}

struct Function {
    name: Ident,
    /// The type of the event that it borrows.
    event: Type,
    /// Where the type of its context is written, for errors about it.
    context: Span,
}

/// A faulty function is left as it is too, so that what calls it compiles.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let registration = match Handler::read(args, item.clone()) {
        Ok(handler) => handler.register(),
        Err(faults) => faults.into_compile_error(),
    };
    quote! {
        #item
        #registration
    }
}

impl Handler {
    fn read(args: TokenStream, item: TokenStream) -> Result<Self> {
        let args = attr::list.parse2(args)?;

        let mut faults = Faults::default();
        faults.take(attr::check_names(&args, &["resource", "event"]));
        let resource = faults.note(event_name(&args, "resource"));
        let event = faults.note(event_name(&args, "event"));
        let function = faults.note(Function::read(item));
        faults.finish(())?;
        Ok(Self { resource: resource?, event: event?, function: function? })
    }

    /// The user's own type stands in it, so that no name may be brought into scope.
    fn register(&self) -> TokenStream {
        let Self { resource, event, function } = self;
        let takes = &function.event;
        let label = function.name.unraw().to_string();
        // With the span of its definition, the compiler would offer to mend that where the call is wrong.
        let mut name = function.name.clone();
        name.set_span(Span::call_site());
        let decoded = quote_spanned!(takes.span()=> ::jsb_runtime::__private::decode(incoming));
        let event_argument = quote_spanned!(takes.span()=> &event);
        let context_argument = quote_spanned!(function.context=> ctx);
        let handled = quote!(#name(#event_argument, #context_argument).await);
        quote! {
            ::jsb_runtime::__private::register_handler! {
                resource: #resource,
                event: #event,
                takes: #takes,
                name: ::core::concat!(::core::module_path!(), "::", #label),
                run: |incoming, ctx| ::jsb_runtime::__private::Box::pin(async move {
                    let event = #decoded?;
                    let result: ::jsb_runtime::__private::HandlerResult = #handled;
                    result
                })
            }
        }
    }
}

/// No pattern and no dotted name ever equals the resource or the type of an event.
fn event_name(args: &[Meta], which: &str) -> Result<String> {
    let Some(arg) = attr::find(args, which) else {
        let message = format!("`{which}` is missing; write `#[handler(resource = \"..\", event = \"..\")]`");
        return Err(Error::new(Span::call_site(), message));
    };
    let name = attr::string(arg)?;
    let value = name.value();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if value.is_empty() || !value.chars().all(allowed) {
        let message =
            "write one name, of letters, digits, `_` and `-`; a further event takes a further `#[handler(..)]`";
        return Err(Error::new(name.span(), message));
    }
    Ok(value)
}

impl Function {
    fn read(item: TokenStream) -> Result<Self> {
        let signature = signature.parse2(item.clone());
        let signature = signature.map_err(|_| Error::new_spanned(item, "only a function can be a handler"))?;
        let name = &signature.ident;

        let mut faults = Faults::default();
        if signature.asyncness.is_none() {
            faults.add(misfit(name, signature.fn_token.span, "a handler is async"));
        }
        if !signature.generics.params.is_empty() {
            faults.add(misfit(name, signature.generics.span(), "a handler is not generic"));
        }
        if matches!(signature.output, ReturnType::Default) {
            faults.add(misfit(name, name.span(), "a handler says whether it failed"));
        }
        let parameters: Option<Vec<_>> = signature.inputs.iter().map(borrowed).collect();
        let parameters = faults.note(match parameters.as_deref() {
            Some([event, context]) => Ok(((*event).clone(), context.span())),
            _ => Err(misfit(name, name.span(), "a handler borrows an event and its context, and takes nothing else")),
        });
        faults.finish(())?;

        let (event, context) = parameters?;
        Ok(Self { name: name.clone(), event, context })
    }
}

fn misfit(name: &Ident, at: Span, problem: &str) -> Error {
    let form = format!("async fn {name}(event: &Event<Payload>, ctx: &HandlerContext<'_>) -> HandlerResult");
    Error::new(at, format!("{problem}; write `{form}`"))
}

/// What a parameter of the form `name: &Type` refers to.
fn borrowed(parameter: &FnArg) -> Option<&Type> {
    match parameter {
        FnArg::Typed(parameter) => match &*parameter.ty {
            Type::Reference(reference) if reference.mutability.is_none() => Some(&reference.elem),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    }
}

/// The signature alone: the body is the compiler's business.
fn signature(item: ParseStream) -> Result<Signature> {
    item.call(Attribute::parse_outer)?;
    item.parse::<Visibility>()?;
    let signature = item.parse()?;
    item.parse::<TokenStream>()?;
    Ok(signature)
}
